"""Streamlit's own words, which it knows in English only, in the language of the page.

`SCRIPT` replaces them in the browser: texts and the names that a screen reader says, of what is
there and of what comes. What the app says itself is none of these words.
"""

import json

from core.i18n import SOURCE_LANGUAGE, _, labelled, language


def words() -> dict[str, str]:
    """Streamlit's word -> ours; {} stands for what differs. Empty in Streamlit's own language."""
    if language() == SOURCE_LANGUAGE:
        return {}
    return {
        "Skip to main content": _("Skip to main content"),
        "Sidebar": _("Sidebar"),
        "App pages": _("App pages"),
        "Collapse sidebar": _("Collapse sidebar"),
        "Expand sidebar": _("Expand sidebar"),
        "Main menu": _("Main menu"),
        "Rerun": _("Rerun"),
        "Settings": _("Settings"),
        "Print": _("Print"),
        "Record screen": _("Record screen"),
        "About": _("About"),
        "System": _("System"),
        "Light": _("Light"),
        "Dark": _("Dark"),
        "Made with Streamlit v": _("Made with Streamlit v"),
        "Page not found": _("Page not found"),
        "The page that you have requested does not seem to exist. Running the app's main page.": _(
            "There is no such page. This is the first one."
        ),
        "Running...": _("Running..."),
        "Stop": _("Stop"),
        "Link to heading": _("Link to heading"),
        "Fullscreen": _("Fullscreen"),
        "Close fullscreen": _("Close fullscreen"),
        "Show data": _("Show data"),
        "Show chart": _("Show chart"),
        "Download as PNG": _("Download as PNG"),
        "Download as SVG": _("Download as SVG"),
        "Download as CSV": _("Download as CSV"),
        "Copy Vega-Lite spec": _("Copy Vega-Lite spec"),
        "Search": _("Search"),
        "Show/hide columns": _("Show/hide columns"),
        "Copy to clipboard": _("Copy to clipboard"),
        "Copied": _("Copied"),
        "file upload": _("File to upload"),
        "Upload": _("Upload"),
        "{} per file": _("At most {} per file"),
        "{} files are not allowed.": _("{}: not a kind of file that is read here."),
        "File must be {} or smaller.": _("A file may have {} at most."),
        "Take Photo": _("Take a photo"),
        "Clear photo": _("Another photo"),
        "Switch camera": _("Use the other camera"),
        "This app would like to use your camera.": _("This app would like to use your camera."),
        "Learn how to allow access.": _("Learn how to allow access."),
        "Choose options": _("Choose"),
        "Choose an option": _("Choose"),
        "Selected values": _("Chosen"),
        "No results": _("Nothing found"),
        "No options to select": _("Nothing to choose"),
        "Clear all": _("Clear all"),
        "Clear value": _("Clear"),
        "Clear selection": _("Clear"),
        "Open": _("Open"),
        "Close": _("Close"),
        "Remove {}": _("Remove {}"),
        "Help": _("Help"),
        "Help for {}": _("Help: {}"),
        "Increment": _("One step up"),
        "Decrement": _("One step down"),
        "Press {} to apply": _("{} applies it"),
    }


def for_script() -> dict[str, str]:
    """What `say` of the script takes: the words, and what stands between a word and a name."""
    return {"words": json.dumps(words()), "colon": labelled("", "")}  # a dict would need pandas


SCRIPT = """
const NAMES = ["aria-label", "placeholder", "title"];
const OTHERS = "svg, pre, code, canvas, [contenteditable]"; // nothing of Streamlit's is in them
let said = {words: "{}", colon: ": "}, translated;

// [word, other word] pairs -> a function that translates a text; undefined where it is none of them
function translator(pairs, from, to) {
  const exact = new Map(pairs);
  const open = pairs.filter(([text]) => text.includes("{}"))
    .map(([text, other]) => [...text.split("{}"), other]);
  const one = (text) => exact.get(text) ?? open.filter(([start, end]) =>
    text.startsWith(start) && text.endsWith(end) && text.length > start.length + end.length)
    .map(([start, end, other]) =>
      other.replace("{}", () => text.slice(start.length, text.length - end.length)))[0];
  return (text) => {
    const [head, ...rest] = text.split(from);
    return one(text) ?? (rest.length && exact.has(head)
      ? exact.get(head) + to + rest.join(from) : undefined);
  };
}

function renew(node, value, write) {
  const text = value?.trim();
  const other = text && text.length < 2000 ? translated(text) : undefined;
  if (other !== undefined && !node.closest(OTHERS)) write(other);
}

function renewNode(node) {
  if (node.nodeType === 3 && node.parentElement)
    renew(node.parentElement, node.nodeValue, (text) => { node.nodeValue = text; });
  if (node.nodeType !== 1) return;
  for (const name of NAMES)
    if (node.hasAttribute(name))
      renew(node, node.getAttribute(name), (text) => node.setAttribute(name, text));
}

function renewAll(root) {
  renewNode(root);
  const walk = document.createTreeWalker(root, 5, (node) =>
    node.nodeType === 1 && node.matches(OTHERS) ? NodeFilter.FILTER_REJECT
      : NodeFilter.FILTER_ACCEPT);
  while (walk.nextNode()) renewNode(walk.currentNode);
}

function say({words, colon}) {
  if (words === said.words) return;
  const [before, now] = [said.words, words].map((text) => Object.entries(JSON.parse(text)));
  const back = before.map(([text, other]) => [other, text]);
  for (const [pairs, from, to] of [[back, said.colon, ": "], [now, ": ", colon]]) {
    translated = pairs.length ? translator(pairs, from, to) : undefined;
    if (translated) renewAll(document.body);
  }
  said = {words, colon};
}

new MutationObserver((changes) => {
  if (!translated) return;
  for (const {type, target, addedNodes} of changes)
    if (type === "childList") addedNodes.forEach(renewAll);
    else renewNode(target);
}).observe(document.body,
  {childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: NAMES});
"""
