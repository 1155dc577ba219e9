import { UsageError } from "../errors.ts";

/** A directory of the host for the guest. */
export interface ShareRequest {
  readonly path: string;
  readonly tag: string;
  readonly readOnly: boolean;
}

/** `DIR[,tag=NAME][,ro]`, repeatable; without a tag they are called share, share2, ... */
export function parseShares(values: readonly string[]): readonly ShareRequest[] {
  const shares: ShareRequest[] = [];
  for (const text of values) {
    let path = text;
    let tag: string | undefined;
    let readOnly = false;
    for (;;) {
      const [, rest, setting = ""] = /^(.*),(ro|tag=[^,]*)$/s.exec(path) ?? [];
      if (rest === undefined) break;
      path = rest;
      if (setting === "ro") readOnly = true;
      else tag = setting.slice(4);
    }
    if (path === "") throw new UsageError(`--share "${text}": the directory's name is empty`);
    tag ??= shares.length === 0 ? "share" : `share${shares.length + 1}`;
    if (!/^[\w.-]{1,31}$/.test(tag)) throw new UsageError(`--share "${text}": tag "${tag}": use up to 31 letters, digits, dots, dashes, underscores`);
    if (shares.some((s) => s.tag === tag)) throw new UsageError(`--share "${text}": another share has the tag "${tag}"`);
    shares.push({ path, tag, readOnly });
  }
  if (shares.length > 4) throw new UsageError(`--share is given ${shares.length} times; 4 are possible`);
  return shares;
}
