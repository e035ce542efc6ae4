import { cell, line } from '../markdown-text.ts';
import { escapeHtml, htmlPage, section, table } from '../tracking/html-page.ts';

/** How a page can be had. */
export type PageFormat = 'markdown' | 'html';

/** A piece of a page. All of it is text, escaped by whoever writes the page, but for figures. */
export type PageBlock =
  | { readonly text: string; readonly tone?: 'bad' | 'note' }
  | { readonly list: readonly string[] }
  | { readonly pairs: readonly Pair[] }
  | { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  /** Safe HTML; Markdown shows the caption in its place. */
  | { readonly figure: string; readonly caption: string };

/** A name with its value; left out where there is none. */
export type Pair = readonly [name: string, value: string | undefined];

/** A page before it is Markdown or HTML. */
export interface PageDocument {
  readonly title: string;
  readonly badges: readonly { readonly text: string; readonly tone: 'good' | 'bad' | 'plain' }[];
  readonly intro: readonly PageBlock[];
  readonly sections: readonly { readonly title: string; readonly blocks: readonly PageBlock[] }[];
}

/** The page in the format: HTML is one self-contained file without script. */
export function renderPage(page: PageDocument, format: PageFormat): string {
  return format === 'html' ? asHtml(page) : asMarkdown(page);
}

const style = `
.PLAIN{opacity:.8}h2{margin:1.8rem 0 .6rem}.pairs th{font-weight:400;opacity:.8;white-space:nowrap;vertical-align:top}
.pairs td{overflow-wrap:anywhere;white-space:pre-wrap}.note{font-size:.85rem;opacity:.75}section p{max-width:46rem}
td{vertical-align:top;font-variant-numeric:tabular-nums}section>*+*{margin-top:.8rem}ul{margin:.3rem 0;padding-left:1.2rem}
figure.bars{max-width:720px}.bars rect{fill:var(--ink);opacity:.75}.bars rect.bad{fill:var(--bad)}.bars rect.weak{opacity:.25}
.bars line{stroke:var(--line)}.bars .whisker,.bars .mark{stroke:currentColor}.bars .mark{stroke-dasharray:4 3;opacity:.6}.bars text{font-size:11px;fill:currentColor}
`;

const tones = { good: 'COMPLETED', bad: 'FAILED', plain: 'PLAIN' };

function asHtml({ title, badges, intro, sections }: PageDocument): string {
  const pills = badges.map(
    ({ text, tone }) => `<span class="status ${tones[tone]}">${escapeHtml(text)}</span>`,
  );
  const body = [
    `<style>${style}</style><header><h1>${escapeHtml(title)} ${pills.join(' ')}</h1>`,
    ...intro.map(blockAsHtml),
    '</header>',
    ...sections.map((each) =>
      section(escapeHtml(each.title), each.blocks.map(blockAsHtml).join('\n')),
    ),
  ];
  return htmlPage(title, body.join('\n'));
}

function blockAsHtml(block: PageBlock): string {
  if ('text' in block) {
    const as = block.tone === undefined ? '' : ` class="${tonesOfText[block.tone]}"`;
    return block.text === '' ? '' : `<p${as}>${escapeHtml(block.text)}</p>`;
  }
  if ('list' in block) {
    const items = block.list.map((item) => `<li>${escapeHtml(item)}</li>`);
    return items.length === 0 ? '' : `<ul>${items.join('')}</ul>`;
  }
  if ('pairs' in block) {
    const rows = known(block.pairs).map(
      ([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
    );
    return rows.length === 0
      ? ''
      : `<div class="scroll"><table class="pairs">${rows.join('')}</table></div>`;
  }
  if ('figure' in block) return block.figure;
  const cells = table(block.head, block.rows);
  return cells.replaceAll('<td>FAILED</td>', '<td class="reason">FAILED</td>');
}

const tonesOfText = { bad: 'reason', note: 'note' };

function asMarkdown({ title, badges, intro, sections }: PageDocument): string {
  const pills = badges.map(({ text }) => `**${line(text)}**`).join(' · ');
  const parts = [
    `# ${line(title)}`,
    pills,
    ...intro.map(blockAsMarkdown),
    ...sections.flatMap((each) => {
      const blocks = each.blocks.map(blockAsMarkdown).filter((text) => text !== '');
      return blocks.length === 0 ? [] : [`## ${line(each.title)}`, ...blocks];
    }),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function blockAsMarkdown(block: PageBlock): string {
  if ('text' in block) return line(block.text);
  if ('list' in block) return block.list.map((item) => `- ${line(item)}`).join('\n');
  if ('figure' in block) return line(block.caption);
  const [head, rows] = 'pairs' in block ? [['', ''], known(block.pairs)] : [block.head, block.rows];
  if (rows.length === 0) return '';
  const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [row(head), `|${head.map(() => '---|').join('')}`, ...rows.map(row)].join('\n');
}

function known(pairs: readonly Pair[]): readonly (readonly [string, string])[] {
  return pairs.flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, value] as const],
  );
}
