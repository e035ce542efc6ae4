/** Text in a cell of a Markdown table: on one line; nothing of it is markup. */
export function cell(text: string): string {
  return line(text).replaceAll('|', '\\|');
}

/** Text in Markdown: on one line; nothing of it begins a heading, a link or a tag. */
export function line(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\\`*_[\]<>#]/g, '\\$&');
}
