import { UsageError } from "../errors.ts";
import { CTL_COMMANDS } from "../ctl/client.ts";
import { IMAGE_COMMANDS } from "../image/image.ts";
import type { OptionTable } from "../options/options.ts";
import { commandReference, firstLine, valueKind } from "./commands.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

const HELP = `whyve completion bash|zsh|fish

Prints a script that completes commands, options and their values. To have it in each new shell:

  bash   echo 'eval "$(whyve completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(whyve completion zsh)"' >> ~/.zshrc          (behind compinit)
  fish   whyve completion fish > ~/.config/fish/completions/whyve.fish
`;

/** `whyve completion ...`. Returns what to print. */
export function completionCommand(argv: readonly string[]): string {
  const [shell, ...rest] = argv;
  if (shell === "--help" || shell === "-h") return HELP;
  const known = SHELLS.find((name) => name === shell);
  if (known === undefined || rest.length > 0)
    throw new UsageError(`completion ${argv.join(" ")}: use whyve completion bash, zsh or fish`.replace(" :", ":"));
  return completionScript(known);
}

export function completionScript(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}

/** First words of commands, in order. */
const topLevel = (): readonly string[] => [...new Set(commandReference().map((c) => c.words.split(" ")[0] ?? ""))];
const flags = (table: OptionTable): string =>
  Object.keys(table)
    .map((name) => `--${name}`)
    .join(" ");
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Options by what the words before them are; "ctl NAME save" is `ctl` and `save` with a word between. */
const cases = (): readonly { readonly first: string; readonly second: string; readonly options: OptionTable }[] =>
  commandReference().map(({ words, options }) => {
    const [first = "", ...rest] = words.split(" ");
    return { first, second: rest.at(-1) ?? "", options };
  });

function bash(): string {
  const values = new Map<string, string>();
  for (const { options } of cases())
    for (const [name, spec] of Object.entries(options)) {
      const kind = valueKind(spec);
      if (Array.isArray(kind)) values.set(`--${name}`, `COMPREPLY=($(compgen -W '${kind.join(" ")}' -- "$cur")); return`);
      else if (kind === "directory") values.set(`--${name}`, `COMPREPLY=($(compgen -d -- "$cur")); return`);
      else if (kind === "file") values.set(`--${name}`, `COMPREPLY=($(compgen -f -- "$cur")); return`);
      else if (kind === "any") values.set(`--${name}`, "return");
    }
  const byCommand = cases().map(({ first, second, options }) => `    ${quoted(`${first} ${second}`.trim())}) options=${quoted(flags(options))} ;;`);
  return `# whyve completion for bash
_whyve() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} options=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W '${topLevel().join(" ")}' -- "$cur")); return; fi
  case $command in
    image) command="image \${COMP_WORDS[2]}"; if [ "$COMP_CWORD" = 2 ]; then COMPREPLY=($(compgen -W '${Object.keys(IMAGE_COMMANDS).join(" ")}' -- "$cur")); return; fi ;;
    ctl)
      if [ "$COMP_CWORD" = 2 ]; then COMPREPLY=($(compgen -W "list $(whyve ctl 2>/dev/null | cut -d' ' -f1)" -- "$cur")); return; fi
      if [ "\${COMP_WORDS[2]}" = list ]; then command="ctl list"
      elif [ "$COMP_CWORD" = 3 ]; then COMPREPLY=($(compgen -W '${Object.keys(CTL_COMMANDS).join(" ")}' -- "$cur")); return
      else command="ctl \${COMP_WORDS[3]}"; fi ;;
    completion) COMPREPLY=($(compgen -W '${SHELLS.join(" ")}' -- "$cur")); return ;;
  esac
  case $prev in
${[...values].map(([name, action]) => `    ${name}) ${action} ;;`).join("\n")}
  esac
  case $command in
${byCommand.join("\n")}
  esac
  case $cur in
    -*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -f -- "$cur")) ;;
  esac
}
complete -o filenames -F _whyve whyve
`;
}

function zshOptions(table: OptionTable): string {
  return Object.entries(table)
    .map(([name, spec]) => {
      const kind = valueKind(spec);
      const value = Array.isArray(kind)
        ? `:value:(${kind.join(" ")})`
        : kind === "file"
          ? ":file:_files"
          : kind === "directory"
            ? ":folder:_files -/"
            : ":value: ";
      return quoted(`*--${name}[${firstLine(spec.help).replace(/[[\]:]/g, "\\$&")}]${kind === "none" ? "" : value}`);
    })
    .join(" ");
}

function zsh(): string {
  const byCommand = cases().map(
    ({ first, second, options }) => `    ${quoted(`${first} ${second}`.trim())}) _arguments ${zshOptions(options)} '*:file:_files' ;;`,
  );
  return `#compdef whyve
# whyve completion for zsh
_whyve() {
  local command=$words[2]
  if (( CURRENT == 2 )); then compadd -- ${topLevel().join(" ")}; return; fi
  case $command in
    image) command="image $words[3]"; if (( CURRENT == 3 )); then compadd -- ${Object.keys(IMAGE_COMMANDS).join(" ")}; return; fi ;;
    ctl)
      if (( CURRENT == 3 )); then compadd -- list \${(f)"$(whyve ctl 2>/dev/null | cut -d' ' -f1)"}; return; fi
      if [[ $words[3] = list ]]; then command="ctl list"
      elif (( CURRENT == 4 )); then compadd -- ${Object.keys(CTL_COMMANDS).join(" ")}; return
      else command="ctl $words[4]"; fi ;;
    completion) compadd -- ${SHELLS.join(" ")}; return ;;
  esac
  case $command in
${byCommand.join("\n")}
  esac
}
compdef _whyve whyve
`;
}

function fish(): string {
  const lines = [
    "# whyve completion for fish",
    "complete -c whyve -f -n __fish_use_subcommand -a " + quoted(topLevel().join(" ")),
    `complete -c whyve -f -n '__fish_seen_subcommand_from completion' -a ${quoted(SHELLS.join(" "))}`,
    `complete -c whyve -f -n '__fish_seen_subcommand_from image; and not __fish_seen_subcommand_from ${Object.keys(IMAGE_COMMANDS).join(" ")}' -a ${quoted(Object.keys(IMAGE_COMMANDS).join(" "))}`,
    `complete -c whyve -f -n '__fish_seen_subcommand_from ctl; and test (count (commandline -opc)) -eq 2' -a "list (whyve ctl 2>/dev/null | cut -d' ' -f1)"`,
    `complete -c whyve -f -n '__fish_seen_subcommand_from ctl; and test (count (commandline -opc)) -eq 3' -a ${quoted(Object.keys(CTL_COMMANDS).join(" "))}`,
  ];
  for (const { first, second, options } of cases()) {
    const when = quoted(`__fish_seen_subcommand_from ${first}${second === "" ? "" : `; and __fish_seen_subcommand_from ${second}`}`);
    for (const [name, spec] of Object.entries(options)) {
      const kind = valueKind(spec);
      const value = Array.isArray(kind) ? ` -x -a ${quoted(kind.join(" "))}` : kind === "none" ? "" : kind === "any" ? " -x" : " -r";
      const short = spec.short === undefined ? "" : ` -s ${spec.short}`;
      lines.push(`complete -c whyve -n ${when} -l ${name}${short}${value} -d ${quoted(firstLine(spec.help))}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
