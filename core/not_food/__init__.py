"""Pictures that are not food: what the networks' scores say of them, measured; torch-free."""
