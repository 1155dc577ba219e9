import type { Body } from "./stack.ts";
export const TRANSCENDENTAL: Readonly<Record<string, Body>> = {};
