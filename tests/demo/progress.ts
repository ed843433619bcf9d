const BAR_CELLS = 32;
const REDRAW_MS = 100;

/** One line that is drawn over and over on a terminal, and a line at each quarter elsewhere. */
export interface ProgressBar {
  update(done: number, note: string): void;
  /** Leaves the line as it is and goes to the next one. */
  close(): void;
}

export function createProgressBar(total: number, output: NodeJS.WriteStream = process.stdout): ProgressBar {
  let drawnMs = -Infinity;
  let quarter = 0;
  let isOpen = false;
  const line = (done: number, note: string): string => {
    const cells = Math.floor((done / total) * BAR_CELLS);
    const bar = "█".repeat(cells) + "░".repeat(BAR_CELLS - cells);
    return `      ${bar} ${String(Math.floor((done / total) * 100)).padStart(3)} %  ${done}/${total}  ${note}`;
  };
  return {
    update(done, note) {
      if (output.isTTY) {
        const nowMs = performance.now();
        if (done < total && nowMs - drawnMs < REDRAW_MS) return;
        drawnMs = nowMs;
        isOpen = true;
        output.write(`\r${line(done, note)}\u001B[K`);
      } else if (Math.floor((done / total) * 4) > quarter) {
        quarter = Math.floor((done / total) * 4);
        output.write(`${line(done, note)}\n`);
      }
    },
    close() {
      if (isOpen) output.write("\n");
      isOpen = false;
    },
  };
}
