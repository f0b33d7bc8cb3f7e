"""The parts of a page: sections that redraw alone, and tabs of which only the open one is drawn."""

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import UserError


def tabbed() -> None:
    import streamlit as st

    from pages.kit import frame, url_state

    def first() -> None:
        st.markdown("drawn: first")

    def broken() -> None:
        from core.errors import UserError

        raise UserError("The file is damaged.")

    url_state.arrive("somewhere")
    trap = frame.Tab("trap", "Trap", broken, former=("danger",))
    frame.tabs([frame.Tab("why", "Why", first), trap])
    st.markdown("the rest")
    url_state.write_address()


def drawn(app: AppTest) -> list[str]:
    assert not app.exception
    return [one.value for one in app.markdown]


def test_only_the_open_tab_is_drawn_and_an_error_stays_in_its_place() -> None:
    app = AppTest.from_function(tabbed).run()
    assert drawn(app) == ["drawn: first", "the rest"] and not app.error
    assert [one.label for one in app.tabs] == ["Why", "Trap"]
    for link in ("trap", "danger"):  # its key, and that of a tab which is now part of it
        linked = AppTest.from_function(tabbed)
        linked.query_params["tab"] = link
        linked.run()
        assert drawn(linked) == ["the rest"]
        assert [one.value for one in linked.error] == ["The file is damaged."]
        assert linked.query_params["tab"] == "trap"


@pytest.mark.parametrize("wrong", ["nowhere", "Trap", ""])
def test_a_tab_that_is_not_there_opens_the_first(wrong: str) -> None:
    app = AppTest.from_function(tabbed)
    app.query_params["tab"] = wrong
    assert drawn(app.run()) == ["drawn: first", "the rest"]
    assert "tab" not in app.query_params


@pytest.mark.parametrize("link", [{"time_with": "onnx"}, {"time_with": "onnx", "tab": "why"}])
def test_a_link_opens_the_tab_whose_settings_it_has(link: dict[str, str]) -> None:
    """Unless it names one: so links from before there were tabs open what they opened."""

    def page() -> None:
        import streamlit as st

        from pages.kit import frame, url_state

        def why() -> None:
            st.markdown("why")

        def trap() -> None:
            url_state.one_of(st.radio, "With", ["torch", "onnx"], "time_with", default="torch")
            st.markdown("trap")

        url_state.arrive("somewhere")
        frame.tabs([frame.Tab("why", "Why", why), frame.Tab("trap", "Trap", trap, ("time_with",))])
        url_state.write_address()

    app = AppTest.from_function(page)
    for name, value in link.items():
        app.query_params[name] = value
    assert drawn(app.run()) == [link.get("tab", "trap")]
    assert {name: app.query_params[name] for name in app.query_params} == link


def test_a_section_says_what_is_wrong_and_lets_all_else_through() -> None:
    def sections() -> None:
        from core.errors import UserError
        from pages.kit import frame

        @frame.section
        def wrong() -> None:
            raise UserError("No such network.")

        wrong()

        @frame.section
        def broken() -> None:
            raise ZeroDivisionError

        broken()

    app = AppTest.from_function(sections).run()
    assert [one.value for one in app.error] == [str(UserError("No such network."))]
    assert len(app.exception) == 1
