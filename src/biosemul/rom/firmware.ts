import type { BiosConfig } from "../config.ts";
import { FONT_8X8 } from "../font/index.ts";
import { buildVideoRom } from "../int10/index.ts";
import { placeTables } from "../tables/install.ts";
import type { PlacedTable } from "../tables/acpi.ts";
import { RomImage } from "./image.ts";

/** What follows from the configuration alone: the ROMs, and the tables that POST puts into RAM. The same after each reset. */
export interface Firmware {
  readonly rom: RomImage;
  /** The display's option ROM, for C0000. */
  readonly videoRom: Uint8Array;
  readonly tables: readonly PlacedTable[];
}

const BIOS_DATE = "01/01/26";

export function makeFirmware(config: BiosConfig, vramBytes: number): Firmware {
  const rom = new RomImage({ style: config.trapStyle, date: BIOS_DATE, font8x8: FONT_8X8 });
  return { rom, videoRom: buildVideoRom({ vramBytes }), tables: placeTables(rom, config, BIOS_DATE) };
}
