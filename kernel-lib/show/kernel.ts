/** One place in a cell's output. */
export interface Screen {
  html(text: string): void;
  markdown(text: string): void;
}

/** What is needed of the notebook's kernel. tslab's module is one. */
export interface Kernel {
  /** Adds to the output of the cell that runs. */
  display: Screen;
  /** An entry of the output that each further call overwrites. */
  newDisplay(): Screen;
}
