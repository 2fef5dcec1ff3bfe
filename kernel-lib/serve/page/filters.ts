import { dayText, make, the } from './element.ts';
import type { StoreFact } from './shapes.ts';
import { DEFAULT_K, type Filter } from './state.ts';

/** Metres that answers lie apart where one hit a place is wanted. */
const APART = 250;

const control = (name: string): HTMLInputElement | HTMLSelectElement =>
  the<HTMLFormElement>('filterForm').elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
const box = (name: string): HTMLInputElement => control(name) as HTMLInputElement;

/** Fills the form by what the store has, and tells of changes. @param boundsOf what is seen, as a filter has it */
export function filtersOf(store: StoreFact, filter: Filter, boundsOf: () => string, onFilter: (filter: Filter) => void): void {
  const any = (text: string): HTMLElement => make('option', { value: '' }, text);
  for (const name of ['since', 'until']) control(name).replaceChildren(any('any day'), ...store.days.map((day) => make('option', { value: day }, dayText(day))));
  control('tags').replaceChildren(any('any tag'), ...store.tags.map(({ tag, rows }) => make('option', { value: tag }, `${tag} (${rows})`)));
  box('maxCloud').disabled = !store.hasCloud;
  box('maxOffNadir').disabled = !store.hasOffNadir;
  showFilter(filter);
  const form = the<HTMLFormElement>('filterForm');
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const tell = (): void => {
    if (!form.reportValidity()) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => { const now = readForm(boundsOf); countFilters(now); onFilter(now); }, 250);
  };
  form.addEventListener('input', tell);
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(tell));
} // prettier-ignore

/** Shows a filter in the form. */
export function showFilter(filter: Filter): void {
  for (const name of ['since', 'until', 'tags', 'maxCloud', 'maxOffNadir', 'awayMetres'] as const) control(name).value = String(filter[name] ?? ''); // prettier-ignore
  control('k').value = String(filter.k);
  box('view').checked = filter.bbox !== undefined;
  box('apart').checked = filter.apartMetres !== undefined;
  countFilters(filter);
}

function readForm(boundsOf: () => string): Filter {
  const text = (name: 'since' | 'until' | 'tags'): object => (control(name).value ? { [name]: control(name).value } : {}); // prettier-ignore
  const number = (name: 'maxCloud' | 'maxOffNadir' | 'awayMetres'): object => (control(name).value ? { [name]: Number(control(name).value) } : {}); // prettier-ignore
  return {
    k: Number(control('k').value) || DEFAULT_K,
    ...text('since'), ...text('until'), ...text('tags'), ...number('maxCloud'), ...number('maxOffNadir'), ...number('awayMetres'),
    ...(box('apart').checked && { apartMetres: APART }),
    ...(box('view').checked && { bbox: boundsOf() }),
  }; // prettier-ignore
}

/** How many filters are set, beside the heading. */
function countFilters(filter: Filter): void {
  const count = Object.keys(filter).filter((name) => name !== 'k').length;
  the('filterCount').textContent = count === 0 ? '' : String(count);
}
