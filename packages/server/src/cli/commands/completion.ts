import { type Command, defineCommand } from '../command.ts';
import { completionScript } from '../completion-scripts.ts';

/** `keelson completion`. */
export const command: Command = defineCommand({
  positionals: { shell: { summary: 'bash, zsh or fish' } },
  description:
    'bash: add `eval "$(keelson completion bash)"` to ~/.bashrc.\n\nzsh: add `eval "$(keelson completion zsh)"` to ~/.zshrc, below `autoload -U compinit; compinit`.\n\nfish: `keelson completion fish > ~/.config/fish/completions/keelson.fish`.',
  examples: [['keelson completion bash', 'What bash is to read']],
  async run({ positionals, out, commands: table }) {
    const commands = await Promise.all(
      table.map(async ({ name, summary, load }) => ({
        name,
        summary,
        options: (await load()).command.options ?? {},
      })),
    );
    const script = completionScript(positionals.shell, commands);
    out.show({ shell: positionals.shell, script }, (view) => view.text(script));
  },
});
