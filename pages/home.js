// The first visit: a small card over the page, until it is dismissed for good. The browser alone
// remembers that; the server hears nothing.

const KEY = "small-plates-welcomed";

function isKnown() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch (refused) {
    return true; // a browser that keeps nothing would be greeted at every visit
  }
}

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

export default function ({ parentElement, data }) {
  if (isKnown() || parentElement.querySelector(".welcome")) return;
  const button = element("button", { type: "button", textContent: data.dismiss });
  const card = element("section", { className: "welcome" },
    element("h2", { id: "welcome-title", textContent: data.title }),
    element("ol", {}, ...data.steps.map(([name, words]) =>
      element("li", {}, element("strong", { textContent: name }), ` ${words}`))),
    button);
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-labelledby", "welcome-title");
  const dismiss = () => {
    localStorage.setItem(KEY, "1");
    document.removeEventListener("keydown", onKey);
    card.remove();
  };
  const onKey = ({ key }) => {
    if (!card.isConnected) document.removeEventListener("keydown", onKey); // another page is open
    else if (key === "Escape") dismiss();
  };
  button.onclick = dismiss;
  document.addEventListener("keydown", onKey);
  parentElement.append(card);
  button.focus({ preventScroll: true });
}
