import { UsageError } from "../errors.ts";

/** The allowed values of each setting that may follow an image's name: `disk.img,bus=virtio`. */
export type ImageSettings = Readonly<Record<string, readonly string[]>>;

export interface ImageArgument {
  readonly path: string;
  readonly settings: ReadonlyMap<string, string>;
}

/** Takes known settings off the end of an image argument; commas and everything else before them belong to the file's name. */
export function parseImageArgument(flag: string, text: string, known: ImageSettings): ImageArgument {
  let path = text;
  const settings = new Map<string, string>();
  for (;;) {
    const [, rest, name = "", value = ""] = /^(.*),([a-z]+)=([^,]*)$/s.exec(path) ?? [];
    const allowed = Object.hasOwn(known, name) ? known[name] : undefined;
    if (rest === undefined || allowed === undefined) return { path, settings };
    if (!allowed.includes(value)) throw new UsageError(`${flag} "${text}": ${name}=${value}: use ${allowed.join(" or ")}`);
    if (settings.has(name)) throw new UsageError(`${flag} "${text}": ${name} is given twice`);
    settings.set(name, value);
    path = rest;
  }
}
