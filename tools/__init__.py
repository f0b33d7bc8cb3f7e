"""Programs for those who make and measure the project; the app never imports them."""
