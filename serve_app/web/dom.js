/** Small helpers over the document. Data only ever becomes text, never markup. */

/**
 * The element that the page has under this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [properties] of the element, such as textContent or onclick
 * @param {(Node | string)[]} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * The first element of a template's copy.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function copyOf(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

/**
 * Terms and what they are, in a description list.
 * @param {HTMLElement} list
 * @param {[string, string][]} facts
 */
export function showFacts(list, facts) {
  list.replaceChildren(
    ...facts.map(([term, value]) =>
      make("div", {}, make("dt", { textContent: term }), make("dd", { textContent: value })),
    ),
  );
}

/**
 * Fill a select with options; a group's name makes an optgroup. What was chosen stays chosen.
 * @param {HTMLSelectElement} select
 * @param {{group?: string, options: {value: string, label: string}[]}[]} groups
 */
export function showOptions(select, groups) {
  const chosen = select.value;
  select.replaceChildren(
    ...groups
      .filter((group) => group.options.length)
      .flatMap(({ group, options }) => {
        const made = options.map(({ value, label: textContent }) =>
          make("option", { value, textContent }),
        );
        return group ? [make("optgroup", { label: group }, ...made)] : made;
      }),
  );
  if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
}

/** @param {number} seconds @returns {string} such as 1:07 or 0:04 */
export function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * A function that runs once its calls have paused for a moment.
 * @param {() => void} action
 * @returns {() => void}
 */
export function whenQuiet(action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, 200);
  };
}
