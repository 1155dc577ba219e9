import { VmmError } from "../../../base/index.ts";
import { because } from "../byte-file.ts";
import type { ByteFile } from "../byte-file.ts";
import { FOOTER_BYTES, makeFooter, MAX_VHD_BYTES, retypeFooter, VHD_TYPE, vhdTime } from "./footer.ts";
import type { VhdFooter } from "./footer.ts";
import { HEADER_BYTES, makeLocators, makeVhdHeader } from "./header.ts";

export interface CreateVhdOptions {
  /** Virtual size in bytes; rounded up to whole sectors. */
  readonly sizeBytes: number;
  readonly kind?: "fixed" | "dynamic";
  /** 512 bytes..256 MB, a power of two; default 2 MB. */
  readonly blockBytes?: number;
  /** 16 random bytes. */
  readonly uuid: Uint8Array;
  /** Creation time, milliseconds since 1970. */
  readonly timeMs: number;
  /** Makes a differencing disk. */
  readonly parent?: { readonly footer: VhdFooter; readonly relative: string; readonly absolute: string };
}

/** Writes an empty image into an empty file. Throws `VmmError`. */
export function createVhd(file: ByteFile, options: CreateVhdOptions): void {
  const sizeBytes = Math.ceil(options.sizeBytes / 512) * 512;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes > MAX_VHD_BYTES)
    throw new VmmError("IMAGE_SIZE", `${file.name}: ${options.sizeBytes} is no possible VHD size (at most 2040G)`);
  const failed = (): VmmError => new VmmError("IMAGE_IO", `${file.name}: cannot be written${because(file)}`);
  if (options.kind === "fixed" && options.parent === undefined) {
    const footer = makeFooter({ type: VHD_TYPE.FIXED, sizeBytes, uuid: options.uuid, timeMs: options.timeMs });
    if (!file.write(sizeBytes, footer) || !file.flush()) throw failed();
    return;
  }
  const blockBytes = options.blockBytes ?? 2 * 1024 * 1024;
  const entries = Math.ceil(sizeBytes / blockBytes);
  const { parent } = options;
  const type = parent === undefined ? VHD_TYPE.DYNAMIC : VHD_TYPE.DIFFERENCING;
  const footer = retypeFooter(makeFooter({ type, sizeBytes, uuid: options.uuid, timeMs: options.timeMs }), type);
  let at = FOOTER_BYTES + HEADER_BYTES;
  const locators = (parent === undefined ? [] : makeLocators(parent.relative, parent.absolute)).map((locator) => {
    const room = Math.ceil(locator.data.length / 512) * 512;
    const placed = { ...locator, offset: at, bytes: locator.data.length, room };
    at += room;
    return placed;
  });
  const table = new Uint8Array(Math.ceil((entries * 4) / 512) * 512).fill(0xff);
  const header = makeVhdHeader({
    tableOffset: at,
    entries,
    blockBytes,
    ...(parent === undefined
      ? {}
      : {
          parent: {
            uuid: parent.footer.uuid,
            timestamp: Math.max(parent.footer.timestamp, vhdTime(0)),
            name: parent.relative.replace(/^.*\//, ""),
            locators,
          },
        }),
  });
  const ok =
    file.write(FOOTER_BYTES, header) &&
    locators.every((l) => file.write(l.offset, l.data)) &&
    file.write(at, table) &&
    file.write(at + table.length, footer) &&
    file.write(0, footer) &&
    file.flush();
  if (!ok) throw failed();
}
