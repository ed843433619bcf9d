import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PowerDisk } from "../power/power-disk.ts";
import type { Dice } from "../sim/dice.ts";
import type { Program } from "../support/processes.ts";
import { findDatabaseProcesses, killAll } from "../support/server-processes.ts";

type Part = "program" | "database";

const LAST_LINES = 12;

/**
 * One end under fire: its program and its PostgreSQL. Every method leaves the program running and ready; faults of one end
 * come one after the other. An end of the program that was not meant is kept in `deaths`.
 */
export class Victim {
  readonly program: Program<unknown>;
  readonly deaths: string[] = [];
  #isMeant = false;

  constructor(program: Program<unknown>) {
    this.program = program;
    this.#watch();
  }

  /** SIGKILL of the program; its PostgreSQL stays behind and goes on. */
  async killProgram(pauseMs: number): Promise<void> {
    this.#isMeant = true;
    await this.program.killProgram();
    await this.#startAfter(pauseMs);
  }

  /** SIGKILL of everything at once. */
  async failPower(pauseMs: number): Promise<void> {
    this.#isMeant = true;
    await this.program.kill();
    await this.#startAfter(pauseMs);
  }

  /** Everything ends at once, and what was written but not synced is lost; in the middle of the next starts as well. */
  async losePower(disk: PowerDisk, dice: Dice, againAfterMs: readonly number[]): Promise<void> {
    this.#isMeant = true;
    await disk.losePower([this.program.pid], dice.whole(0, 1_000_000));
    await this.program.kill();
    for (const delayMs of againAfterMs) {
      await this.program.restartAndKill(delayMs);
      await disk.losePower([], dice.whole(0, 1_000_000));
    }
    await this.#startAfter(0);
  }

  /** SIGTERM and a new start. */
  async restart(pauseMs: number): Promise<void> {
    this.#isMeant = true;
    const exitCode = await this.program.stop();
    if (exitCode !== 0) this.#noteEnd(`ended with code ${exitCode} after SIGTERM`);
    await this.#startAfter(pauseMs);
  }

  /** SIGKILL, then again some time after each of the next starts. */
  async killWhileStarting(afterMs: readonly number[]): Promise<void> {
    this.#isMeant = true;
    await this.program.killProgram();
    for (const delayMs of afterMs) await this.program.restartAndKill(delayMs);
    await this.#startAfter(0);
  }

  killDatabase(): void {
    this.program.killDatabase();
  }

  /** SIGKILL of one process of PostgreSQL: the server ends the others and recovers by itself. */
  killBackend(dice: Dice): void {
    const backend = dice.pick(findDatabaseProcesses(this.program.dataDir).filter((pid) => pid !== this.#postmaster()));
    if (backend !== undefined) killAll([backend]);
  }

  async freeze(parts: readonly Part[], durationMs: number): Promise<void> {
    for (const part of parts) this.program.signal(part, "SIGSTOP");
    await Bun.sleep(durationMs);
    for (const part of parts) this.program.signal(part, "SIGCONT");
  }

  /** What died by itself is started again, as a service manager would. */
  async revive(): Promise<void> {
    if (!this.program.isRunning) await this.#startAfter(0);
  }

  async #startAfter(pauseMs: number): Promise<void> {
    await Bun.sleep(pauseMs);
    await this.program.restart();
    this.#watch();
  }

  #watch(): void {
    this.#isMeant = false;
    void this.#noteDeath(this.program.pid, this.program.exited());
  }

  async #noteDeath(pid: number, exited: Promise<number>): Promise<void> {
    const code = await exited;
    if (!this.#isMeant && this.program.pid === pid) this.#noteEnd(`ended by itself with code ${code}`);
  }

  /** With what the program said last. */
  #noteEnd(what: string): void {
    const lastLines = this.program.log().trimEnd().split("\n").slice(-LAST_LINES);
    this.deaths.push([`${this.program.name} ${what}:`, ...lastLines].join("\n    "));
  }

  #postmaster(): number {
    try {
      return Number.parseInt(readFileSync(join(this.program.dataDir, "postgres/data/postmaster.pid"), "utf8"), 10);
    } catch {
      return -1;
    }
  }
}
