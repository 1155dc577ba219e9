import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";
import { isRemovedAtExit, removeAtExit, unlinkQuietly } from "./at-exit.ts";

/**
 * One writer an image, advisory. Node has no flock(2), so the lock is two files made with O_EXCL: one beside the image, which other computers see
 * that share the directory, and one in the temporary directory that is called by device and inode, which every other name of the file leads to (hard
 * link, bind mount). Where one of the places is not writable the other is enough. They name their owner by process id and start time, so
 * a lock left behind by a killed process is recognised and taken over.
 */
export interface ImageLock {
  release(): void;
}

interface Owner {
  readonly pid: number;
  /** Start time in clock ticks since boot where the host tells it, else empty: guards against a recycled pid. */
  readonly started: string;
  readonly host: string;
}

/** Fields 3 and 22 of /proc/PID/stat; empty on hosts without procfs. */
function processStat(pid: number): { readonly state: string; readonly started: string } {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", started: fields[19] ?? "" };
  } catch {
    return { state: "", started: "" };
  }
}

function isAlive(owner: Owner): boolean {
  if (owner.host !== os.hostname()) return true; // another machine's lock: nothing here can tell
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
  }
  const { state, started: now } = processStat(owner.pid);
  // Dead, and only waiting for a parent that does not ask: it has nothing open any more.
  if (state === "Z" || state === "X") return false;
  return owner.started === "" || now === "" || now === owner.started;
}

function readOwner(lockPath: string): Owner | undefined {
  try {
    const [pid, started, host] = fs.readFileSync(lockPath, "utf8").trim().split("\n");
    const number = Number(pid);
    if (!Number.isSafeInteger(number) || number <= 0) return undefined;
    return { pid: number, started: started ?? "", host: host ?? "" };
  } catch {
    return undefined;
  }
}

/** The `code` of a Node system error, or an empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function tryCreate(lockPath: string): "made" | "exists" | "unwritable" {
  let fd: number;
  try {
    fd = fs.openSync(lockPath, "wx", 0o644);
  } catch (error) {
    return errorCode(error) === "EEXIST" ? "exists" : "unwritable";
  }
  try {
    const text = `${process.pid}\n${processStat(process.pid).started}\n${os.hostname()}\n`;
    if (fs.writeSync(fd, text) === text.length) return "made";
  } catch {
    // The disk is full: a lock that names nobody keeps everybody waiting.
  } finally {
    fs.closeSync(fd);
  }
  unlinkQuietly(lockPath);
  return "unwritable";
}

/** Where every process of this computer looks, whatever its TMPDIR. */
const COMMON_DIRECTORY = process.platform === "win32" ? os.tmpdir() : "/tmp";

/** The same for all names of one file. */
function identityOf(stat: fs.BigIntStats): string {
  return stat.isBlockDevice() ? `whyve-device-${stat.rdev}` : `whyve-${stat.dev}-${stat.ino}`;
}

/** The names that stand for an image; `fd` is its opened descriptor, if there is one already. */
function placesOf(imagePath: string, fd?: number): readonly string[] {
  const real = fs.realpathSync(imagePath);
  const stat = fd === undefined ? fs.statSync(real, { bigint: true }) : fs.fstatSync(fd, { bigint: true });
  return [`${real}.lock`, path.join(COMMON_DIRECTORY, `${identityOf(stat)}.lock`)];
}

/** Live readers' lock files: `LOCK-r<pid>-<n>`. Dead ones are removed. */
function liveReader(lockPath: string): Owner | undefined {
  const directory = path.dirname(lockPath);
  const prefix = `${path.basename(lockPath)}-r`;
  let names: readonly string[];
  try {
    names = fs.readdirSync(directory);
  } catch {
    return undefined;
  }
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const file = path.join(directory, name);
    const owner = readOwner(file);
    if (owner === undefined ? !olderThan(file, WRITING_MS) : isAlive(owner)) return owner ?? { pid: 0, started: "", host: os.hostname() };
    unlinkQuietly(file);
  }
  return undefined;
}

/** A lock without an owner is one that is being written this instant; after so long it is a damaged one. */
const WRITING_MS = 10_000;

let sharedCount = 0;

/**
 * Keeps writers away from an image that others read through (a backing file), or throws `IMAGE_LOCKED` when somebody writes it. Readers make
 * their files first and look for a writer then, a writer does it the other way round: one of two that meet sees the other.
 */
export function lockShared(imagePath: string): ImageLock {
  const places = placesOf(imagePath);
  const mine: ImageLock[] = [];
  for (const place of places) {
    const file = `${place}-r${process.pid}-${sharedCount++}`;
    if (tryCreate(file) === "made") mine.push(holdLock(file));
  }
  for (const place of places) {
    const owner = fs.existsSync(place) ? readOwner(place) : undefined;
    if (owner === undefined || !isAlive(owner)) continue;
    releaseAll(mine);
    throw new VmmError(
      "IMAGE_LOCKED",
      `${imagePath}: is being written by process ${owner.pid}; stop it, or use --snapshot-disk (lock file ${place})`,
    );
  }
  return { release: () => releaseAll(mine) };
}

function releaseAll(locks: readonly ImageLock[]): void {
  for (const lock of locks) lock.release();
}

/** Takes the lock or throws `IMAGE_LOCKED`. `fd`: the image, where it is open already. */
export function lockImage(imagePath: string, fd?: number): ImageLock {
  const places = placesOf(imagePath, fd);
  const mine: ImageLock[] = [];
  try {
    for (const place of places) {
      const lock = takePlace(imagePath, place);
      if (lock !== undefined) mine.push(lock);
    }
    if (mine.length === 0) throw new VmmError("IMAGE_LOCKED", `${imagePath}: cannot take the write lock; use --snapshot-disk or --read-only`);
    refuseReaders(imagePath, places);
  } catch (error) {
    releaseAll(mine);
    throw error;
  }
  return { release: () => releaseAll(mine) };
}

/** One of the two files; undefined where none can be made. */
function takePlace(imagePath: string, lockPath: string): ImageLock | undefined {
  for (let attempt = 0; attempt < 5; attempt++) {
    const made = tryCreate(lockPath);
    if (made === "unwritable") return undefined;
    if (made === "made") return holdLock(lockPath);
    const owner = readOwner(lockPath);
    if (!isStale(lockPath, owner)) {
      if (owner === undefined && attempt < 4) {
        pause();
        continue;
      }
      if (isRemovedAtExit(lockPath))
        throw new VmmError("IMAGE_LOCKED", `${imagePath}: in use by this program already; give it once, or use --snapshot-disk or --read-only`);
      const who = owner === undefined ? "another process" : `process ${owner.pid}${owner.host === os.hostname() ? "" : ` on ${owner.host}`}`;
      throw new VmmError("IMAGE_LOCKED", `${imagePath}: in use by ${who}; stop it, or use --snapshot-disk or --read-only (lock file ${lockPath})`);
    }
    if (removeStale(lockPath) === "not ours") return undefined;
  }
  throw new VmmError("IMAGE_LOCKED", `${imagePath}: others are taking its lock this moment; try again (lock file ${lockPath})`);
}

function isStale(lockPath: string, owner: Owner | undefined): boolean {
  return owner === undefined ? olderThan(lockPath, WRITING_MS) : !isAlive(owner);
}

/** Throws when images that are used right now are based on this one. */
function refuseReaders(imagePath: string, places: readonly string[]): void {
  for (const place of places) {
    const reader = liveReader(place);
    if (reader === undefined) continue;
    throw new VmmError(
      "IMAGE_LOCKED",
      `${imagePath}: is the backing file of an image that process ${reader.pid} uses; writing it would damage that one`,
    );
  }
}

function olderThan(file: string, ms: number): boolean {
  try {
    return Date.now() - fs.statSync(file).mtimeMs > ms;
  } catch {
    return true;
  }
}

/**
 * Clears a lock whose owner is gone. Only who holds `LOCK.clear` may do it, and looks once more before: of two that found the same stale lock,
 * the slower one must not take away what the quicker one has just made.
 */
function removeStale(lockPath: string): "done" | "not ours" {
  const guard = `${lockPath}.clear`;
  if (tryCreate(guard) !== "made") {
    // Somebody else clears, or did not live to finish. Another user's file in a shared directory stays.
    if (isStale(guard, readOwner(guard))) unlinkQuietly(guard);
    pause();
    return "done";
  }
  try {
    if (isStale(lockPath, readOwner(lockPath))) fs.unlinkSync(lockPath);
    return "done";
  } catch (error) {
    return errorCode(error) === "ENOENT" ? "done" : "not ours";
  } finally {
    unlinkQuietly(guard);
  }
}

/** Long enough for another process to write the lines of its lock. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

function holdLock(lockPath: string): ImageLock {
  const file = removeAtExit(lockPath);
  return { release: () => void file.remove() };
}
