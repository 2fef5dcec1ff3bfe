import { askFacts } from './ask.ts';
import { make, the } from './element.ts';
import { Page } from './page.ts';
import { restoreTheme } from './theme.ts';

restoreTheme();
try {
  const facts = await askFacts();
  const page = new Page(facts);
  page.start();
} catch (error) {
  const state = the('state');
  state.hidden = false;
  state.replaceChildren(make('span', {}, `The page cannot start: ${(error as Error).message}`));
  throw error;
}
