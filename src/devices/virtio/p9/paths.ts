import { ERRNO } from "../../../backends/api/index.ts";
import type { Errno, TreePath } from "../../../backends/api/index.ts";

/** Bytes of a name, as NAME_MAX. */
export const MAX_NAME = 255;
/** Bytes of a path with its separators, as PATH_MAX. */
export const MAX_PATH = 4096;

/** A name that means one entry of a directory and nothing else: 0, or what is wrong with it. */
function checkName(name: string): Errno {
  if (name === "" || name.includes("/") || name.includes("\0")) return ERRNO.EINVAL;
  if (name === "." || name === "..") return ERRNO.EINVAL;
  return name.length > MAX_NAME ? ERRNO.ENAMETOOLONG : 0;
}

const bounded = (path: TreePath): TreePath | Errno => (path.reduce((sum, name) => sum + name.length + 1, 0) > MAX_PATH ? ERRNO.ENAMETOOLONG : path);

/** The entry `name` of a directory. */
export function below(directory: TreePath, name: string): TreePath | Errno {
  const fault = checkName(name);
  return fault === 0 ? bounded([...directory, name]) : fault;
}

/** One step of a walk: as `below`, and "." and ".." lead where they say; ".." ends at the root. */
export function step(path: TreePath, name: string): TreePath | Errno {
  if (name === "..") return bounded(path.slice(0, -1));
  return name === "." ? bounded(path) : below(path, name);
}
