import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";

/**
 * One writer an image, advisory. Node has no flock(2), so the lock is a file made with O_EXCL beside the image (in the
 * temporary directory when that place is not writable). It names its owner by process id and start time, so a lock
 * left behind by a killed process is recognised and taken over.
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

const held = new Set<string>();
let exitHookInstalled = false;

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
  try {
    const fd = fs.openSync(lockPath, "wx", 0o644);
    try {
      fs.writeSync(fd, `${process.pid}\n${processStat(process.pid).started}\n${os.hostname()}\n`);
    } finally {
      fs.closeSync(fd);
    }
    return "made";
  } catch (error) {
    return errorCode(error) === "EEXIST" ? "exists" : "unwritable";
  }
}

function candidates(imagePath: string): readonly string[] {
  const real = fs.realpathSync(imagePath);
  const stat = fs.statSync(real);
  return [`${real}.lock`, path.join(os.tmpdir(), `whyve-${stat.dev}-${stat.ino}.lock`)];
}

/** Live readers' lock files beside the image: `IMAGE.lock-r<pid>-<n>`. Dead ones are removed. */
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
    if (owner === undefined ? !olderThan(file, 10_000) : isAlive(owner)) return owner ?? { pid: 0, started: "", host: os.hostname() };
    unlinkQuietly(file);
  }
  return undefined;
}

let sharedCount = 0;

/**
 * Keeps writers away from an image that others read through (a backing file), or throws `IMAGE_LOCKED` when somebody writes it. Readers make
 * their file first and look for a writer then, a writer does it the other way round: one of two that meet sees the other.
 */
export function lockShared(imagePath: string): ImageLock {
  const places = candidates(imagePath);
  let mine: ImageLock | undefined;
  for (const place of places) {
    const file = `${place}-r${process.pid}-${sharedCount++}`;
    if (tryCreate(file) !== "made") continue;
    mine = holdLock(file);
    break;
  }
  for (const place of places) {
    const owner = fs.existsSync(place) ? readOwner(place) : undefined;
    if (owner === undefined || !isAlive(owner)) continue;
    mine?.release();
    throw new VmmError(
      "IMAGE_LOCKED",
      `${imagePath}: is being written by process ${owner.pid}; stop it, or use --snapshot-disk (lock file ${place})`,
    );
  }
  return mine ?? { release() {} };
}

/** Takes the lock or throws `IMAGE_LOCKED`. */
export function lockImage(imagePath: string): ImageLock {
  for (const lockPath of candidates(imagePath)) {
    for (let attempt = 0; attempt < 3; attempt++) {
      const made = tryCreate(lockPath);
      if (made === "unwritable") break;
      if (made === "made") return withoutReaders(imagePath, holdLock(lockPath));
      const owner = readOwner(lockPath);
      // An unreadable owner is a lock being written this instant, or a damaged one: only the file's age can tell.
      const stale = owner === undefined ? olderThan(lockPath, 10_000) : !isAlive(owner);
      if (!stale) {
        if (held.has(lockPath))
          throw new VmmError("IMAGE_LOCKED", `${imagePath}: in use by this program already; give it once, or use --snapshot-disk or --read-only`);
        const who = owner === undefined ? "another process" : `process ${owner.pid}${owner.host === os.hostname() ? "" : ` on ${owner.host}`}`;
        throw new VmmError("IMAGE_LOCKED", `${imagePath}: in use by ${who}; stop it, or use --snapshot-disk or --read-only (lock file ${lockPath})`);
      }
      removeStale(lockPath);
    }
  }
  throw new VmmError("IMAGE_LOCKED", `${imagePath}: cannot take the write lock; use --snapshot-disk or --read-only`);
}

/** Gives the lock back and throws when images that are written right now are based on this one. */
function withoutReaders(imagePath: string, lock: ImageLock): ImageLock {
  for (const place of candidates(imagePath)) {
    const reader = liveReader(place);
    if (reader === undefined) continue;
    lock.release();
    throw new VmmError(
      "IMAGE_LOCKED",
      `${imagePath}: is the backing file of an image that process ${reader.pid} uses; writing it would damage that one`,
    );
  }
  return lock;
}

function olderThan(file: string, ms: number): boolean {
  try {
    return Date.now() - fs.statSync(file).mtimeMs > ms;
  } catch {
    return true;
  }
}

/** Renames first: of two processes that find the same stale lock, one fails here and looks again. */
function removeStale(lockPath: string): void {
  const grave = `${lockPath}.${process.pid}`;
  try {
    fs.renameSync(lockPath, grave);
    fs.unlinkSync(grave);
  } catch {
    // Somebody else was quicker.
  }
}

function holdLock(lockPath: string): ImageLock {
  held.add(lockPath);
  if (!exitHookInstalled) {
    exitHookInstalled = true;
    process.on("exit", () => {
      for (const file of held) unlinkQuietly(file);
    });
  }
  return {
    release() {
      if (held.delete(lockPath)) unlinkQuietly(lockPath);
    },
  };
}

function unlinkQuietly(file: string): void {
  try {
    fs.unlinkSync(file);
  } catch {
    // Gone already: nothing to release.
  }
}
