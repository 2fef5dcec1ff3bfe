/** A divider that is dragged, or moved by arrow keys. @param onMoved told where it stands, 0–1 */
export function dividerOf(divider: HTMLElement, stage: HTMLElement, onMoved: (at: number, isDone: boolean) => void): (at: number) => void {
  let now = 0.5;
  const set = (at: number): void => {
    now = Math.max(0, Math.min(1, at));
    divider.style.left = `${100 * now}%`;
    divider.setAttribute('aria-valuenow', String(Math.round(100 * now)));
    divider.setAttribute('aria-valuetext', `${Math.round(100 * now)} percent from the left`);
  };
  const move = (at: number, isDone: boolean): void => {
    set(at);
    onMoved(now, isDone);
  };
  const placeOf = ({ clientX }: PointerEvent): number => {
    const { left, width } = stage.getBoundingClientRect();
    return (clientX - left) / width;
  };
  divider.addEventListener('pointerdown', (event) => {
    divider.setPointerCapture(event.pointerId);
    divider.focus();
    event.preventDefault();
  });
  divider.addEventListener('pointermove', (event) => {
    if (divider.hasPointerCapture(event.pointerId)) move(placeOf(event), false);
  });
  divider.addEventListener('pointerup', (event) => move(placeOf(event), true));
  divider.addEventListener('keydown', (event) => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const to = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(to, true);
  });
  return set;
} // prettier-ignore
