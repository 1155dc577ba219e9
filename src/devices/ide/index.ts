export { AtaDisk } from "./ata-disk.ts";
export type { AtaDiskOptions, AtaDiskStateV1 } from "./ata-disk.ts";
export { AtapiDrive } from "./atapi-drive.ts";
export type { AtapiDriveOptions, AtapiDriveStateV1 } from "./atapi-drive.ts";
export { busMasterPorts } from "./bus-master.ts";
export type { BusMaster, BusMasterStateV1 } from "./bus-master.ts";
export { IDE_CHANNEL_STATE, IdeChannel } from "./channel.ts";
export type { IdeChannelOptions, IdeChannelStateV1, IdeDrive } from "./channel.ts";
