// Numbers that generated code and TypeScript tell each other.

/** Special handlers, before all others. */
export const H_HELPER = 0,
  H_END = 1,
  H_BREAK = 2,
  FIRST_HANDLER = 3;

/** What run() returns: an import or a handler wants out (TypeScript knows why), or the block in STATE.curRec does not fit into the budget. */
export const RUN_LEFT = 0,
  RUN_OUT_OF_BUDGET = 1;
/** What a cold handler returns. */
export const COLD_NEXT = 0,
  COLD_IP = 1,
  COLD_LINK = 2,
  COLD_FAULT = 3,
  COLD_DEFER = 4;
/**
 * Translated regions are cold handlers too (table slots behind those of the module). They return COLD_FAULT, REGION_BUDGET,
 * or the record to go on with plus what to do there.
 */
export const REGION_BUDGET = 5;
export const REGION_TAKE_LINK = 1,
  REGION_TAKE_IP = 2,
  REGION_TAKE_HELPER = 4,
  /** The region is not for the state as it is: the record it replaced does it. */
  REGION_MISFIT = 8;

/** STATE.regionStale: a region was dropped, or a stop is wanted; and, behind a region, that it left because the budget ran out. */
export const STALE_LEAVE = 1,
  STALE_OUT_OF_BUDGET = 2;

/** In what the slow arms' imports are told of an access: a region makes it. */
export const IN_REGION = 0x10000;
