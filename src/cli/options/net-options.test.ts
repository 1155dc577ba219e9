import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../errors.ts";
import { parseNet } from "./net-options.ts";

const complaint = (value: string): string => {
  try {
    parseNet(value);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "accepted";
};

describe("--net", () => {
  it("understands none, user and tap", () => {
    expect(parseNet("none")).toBeUndefined();
    expect(parseNet("user")).toEqual({ kind: "user", forwards: [], loopback: false, restrict: false });
    expect(parseNet("user,loopback=on,restrict=on,mac=02:00:00:00:00:07")).toEqual({
      kind: "user",
      forwards: [],
      loopback: true,
      restrict: true,
      mac: "02:00:00:00:00:07",
    });
    expect(parseNet("tap")).toEqual({ kind: "tap", ifname: "tap0" });
    expect(parseNet("tap,ifname=vm7,mac=02:00:00:00:00:07")).toEqual({ kind: "tap", ifname: "vm7", mac: "02:00:00:00:00:07" });
  });

  it("reads forwards with and without addresses; the host's is its loopback by default", () => {
    const forwards = ["tcp:2222-22", "tcp::2223-:22", "udp:0.0.0.0:69-10.0.2.20:69", "tcp:[::1]:80-8080"];
    expect(parseNet(`user,${forwards.map((f) => `hostfwd=${f}`).join(",")}`)).toMatchObject({
      forwards: [
        { protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 2222, guestIp: 0x0a00020f, guestPort: 22 },
        { protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 2223, guestIp: 0x0a00020f, guestPort: 22 },
        { protocol: "udp", hostAddress: "0.0.0.0", hostPort: 69, guestIp: 0x0a000214, guestPort: 69 },
        { protocol: "tcp", hostAddress: "::1", hostPort: 80, guestIp: 0x0a00020f, guestPort: 8080 },
      ],
    });
  });

  it.each([
    ["usr", '--net "usr": use none, user or tap (see whyve run --help)'],
    ["none,mac=1", '--net "none,mac=1": use none, user or tap (see whyve run --help)'],
    ["user,hostfw=tcp:1-1", '--net user: unknown setting "hostfw" (did you mean hostfwd?)'],
    ["user,loopback", "--net user: loopback needs a value"],
    ["user,loopback=yes", "--net loopback=yes: use on or off"],
    ["user,mac=01:00:00:00:00:01", "--net mac=01:00:00:00:00:01: use six pairs of hex digits such as 52:54:00:12:34:56, the first one even"],
    ["user,mac=02:00:00:00:00:01,mac=02:00:00:00:00:02", "--net user: mac is given twice"],
    ["user,hostfwd=sctp:1-1", "--net hostfwd=sctp:1-1: use hostfwd=tcp|udp:[HOSTADDR:]PORT-[GUESTADDR:]PORT, for example hostfwd=tcp:2222-22"],
    ["user,hostfwd=tcp:70000-1", "--net hostfwd=tcp:70000-1: ports are 1 to 65535"],
    ["user,hostfwd=tcp:1.2.3:1-1", "--net hostfwd=tcp:1.2.3:1-1: 1.2.3 is no address"],
    ["user,hostfwd=tcp:1-192.168.0.1:1", "--net hostfwd=tcp:1-192.168.0.1:1: the guest's address is on 10.0.2.0/24 (10.0.2.15 by default)"],
    ["user,hostfwd=tcp:1-1,hostfwd=tcp:1-2", "--net user: tcp port 1 is forwarded twice"],
    ["tap,hostfwd=tcp:1-1", '--net tap: unknown setting "hostfwd" (see --help)'],
  ])("complains of %s", (value, message) => {
    expect(complaint(value)).toBe(message);
  });

  it("answers any text with a request or one line", () => {
    fc.assert(
      fc.property(fc.constantFrom("", "user,", "tap,", "user,hostfwd=tcp:"), fc.string(), (prefix, text) => {
        expect(complaint(prefix + text)).not.toBe("");
      }),
      { seed: 3, numRuns: 2000 },
    );
  });
});
