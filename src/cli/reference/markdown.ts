import { CTL_HELP } from "../ctl/client.ts";
import { IMAGE_COMMANDS } from "../image/image.ts";
import { groupOptions } from "../options/options.ts";
import type { OptionTable } from "../options/options.ts";
import { RUN_EXAMPLES, RUN_EXIT_CODES } from "../options/run-help.ts";
import { RUN_OPTIONS } from "../options/run-table.ts";

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");
const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``;

function table(options: OptionTable): string {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => {
    const flag = `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
    return `| ${code(flag)} | ${cell(help)} |`;
  });
  return `| option | |\n| --- | --- |\n${rows.join("\n")}`;
}

/** docs/options.md: every option of every command. */
export function optionsMarkdown(): string {
  const run = [...groupOptions(RUN_OPTIONS)].map(([group, entries]) => `### ${group}\n\n${table(Object.fromEntries(entries))}`);
  const images = Object.values(IMAGE_COMMANDS).map(
    (c) => `### whyve image ${c.usage.replace(/[|<]/g, "\\$&")}\n\n${c.about.replaceAll("\n", "  \n")}\n\n${table(c.options)}`,
  );
  const codes = RUN_EXIT_CODES.map(([exit, what]) => `| ${exit} | ${cell(what)} |`);
  return `# Options

Made from the tables that parse the command line (\`npm run docs\`). \`whyve COMMAND --help\` says the same; \`man whyve\` does, where the package was installed globally.

## whyve run

    whyve run [options] [IMAGE ...]

Kinds of disks and their formats are told by content. \`whyve demo\` takes the same options.

${run.join("\n\n")}

### Exit codes

| code | |
| --- | --- |
${codes.join("\n")}

### Examples

${RUN_EXAMPLES.map(([line, what]) => `    ${line}${what === "" ? "" : `    # ${what}`}`).join("\n")}

## whyve image

${images.join("\n\n")}

## whyve ctl

${CTL_HELP.trimEnd().replace(/^/gm, "    ")}
`;
}
