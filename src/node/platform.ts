import { nodeHost } from "../backends/node/host.ts";
import type { Platform } from "../machine/index.ts";

/** Node's: files, directories and sockets of this computer. What a plain run does not touch is loaded at its first use. */
export const nodePlatform: Platform = {
  ...nodeHost,
  openImage: async (path, request) => await (await backends()).openPackedImage(path, request),
  openDirectory: async (path, readOnly) => new (await backends()).DirectoryTree(path, { readOnly }),
  async openNetwork(request) {
    const { openTap, openUserNet } = await backends();
    return request.kind === "tap" ? await openTap(request.ifname) : await openUserNet(request);
  },
  readFile: async (path, maxBytes) => (await backends()).readFile(path, maxBytes),
  gunzip: async (bytes, maxBytes) => await (await backends()).gunzip(bytes, maxBytes),
  packer: {
    pack: async (bytes) => await (await backends()).snapshotPacker.pack(bytes),
    unpack: async (packed, bytes) => await (await backends()).snapshotPacker.unpack(packed, bytes),
  },
};

/** One chunk of a bundle, loaded once. */
const backends = () => import("../backends/node/index.ts");
