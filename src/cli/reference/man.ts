import { CTL_HELP } from "../ctl/client.ts";
import { IMAGE_COMMANDS } from "../image/image.ts";
import { groupOptions } from "../options/options.ts";
import type { OptionTable } from "../options/options.ts";
import { RUN_EXAMPLES, RUN_EXIT_CODES } from "../options/run-help.ts";
import { RUN_OPTIONS } from "../options/run-table.ts";

/** Text as roff takes it: no line is a request, hyphens and backslashes stay what they are. */
const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
const literal = (text: string): string => `.nf\n${roff(text.trimEnd())}\n.fi`;

function options(table: OptionTable): string {
  return Object.entries(table)
    .map(([name, { short, value, help }]) => {
      const head = `${short === undefined ? "" : `\\fB\\-${short}\\fR, `}\\fB\\-\\-${roff(name)}\\fR${value === undefined ? "" : ` \\fI${roff(value)}\\fR`}`;
      return `.TP\n${head}\n${roff(help)}`;
    })
    .join("\n");
}

function byGroup(table: OptionTable): string {
  return [...groupOptions(table)].map(([group, entries]) => `.SS ${group}\n${options(Object.fromEntries(entries))}`).join("\n");
}

/** whyve(1), in the language of man(7). */
export function manPage(version: string): string {
  const images = Object.values(IMAGE_COMMANDS).map((c) => `.SS whyve image ${roff(c.usage)}\n${roff(c.about)}\n${options(c.options)}`);
  const codes = RUN_EXIT_CODES.map(([code, what]) => `.TP\n.B ${code}\n${roff(what)}`);
  return `.TH WHYVE 1 "" "whyve ${version}" "User Commands"
.SH NAME
whyve \\- an x86 PC hypervisor with a built\\-in BIOS
.SH SYNOPSIS
.nf
.B whyve run \\fR[\\fIoptions\\fR] [\\fIIMAGE\\fR ...]
.B whyve demo \\fR[\\fIoptions\\fR]
.B whyve image info\\fR|\\fBcreate\\fR|\\fBconvert\\fR|\\fBcheck\\fR|\\fBresize \\fR...
.B whyve ctl \\fR[\\fINAME COMMAND\\fR]
.B whyve completion bash\\fR|\\fBzsh\\fR|\\fBfish
.fi
.SH DESCRIPTION
whyve is an x86\\-64 PC in software: it boots unmodified disks, from a boot sector over DOS to 64\\-bit Linux, without privileges and without
hardware virtualization. The BIOS is no ROM code but a service of the hypervisor.
.SH OPTIONS OF WHYVE RUN
${byGroup(RUN_OPTIONS)}
.SH DISK IMAGES
${images.join("\n")}
.SH RUNNING MACHINES
${literal(CTL_HELP)}
.SH EXIT STATUS
${codes.join("\n")}
.SH ENVIRONMENT
.TP
.B NO_COLOR
when set, the screen is drawn without colours.
.TP
.B TERM
a terminal of the kind
.B dumb
is not drawn on.
.TP
.B XDG_RUNTIME_DIR
where machines that have a name can be reached by
.BR "whyve ctl" .
.SH EXAMPLES
${literal(RUN_EXAMPLES.map(([line]) => line).join("\n"))}
`;
}
