/** A line that is no part of a table. */
class CsvFault extends Error {
  override readonly name = 'CsvFault';
}

/**
 * The rows of comma-separated text by the names in its first line (RFC 4180: quoted fields may hold commas, line
 * ends and doubled quotes; line ends are CRLF or LF). All values are text. CsvFault, naming the line.
 */
export function parseCsv(text: string): Record<string, string>[] {
  const rows: Record<string, string>[] = [];
  let head: readonly string[] | undefined;
  for (const { fields, lineNumber } of records(text.replace(/^\uFEFF/, ''))) {
    if (head === undefined) {
      head = fields;
      const twice = head.find((name, i) => fields.indexOf(name) !== i);
      if (twice !== undefined) throw new CsvFault(`line 1 has the column ${twice} twice`);
      continue;
    }
    // An empty line is no row.
    if (fields.length === 1 && fields[0] === '' && head.length > 1) continue;
    if (fields.length !== head.length) {
      throw new CsvFault(
        `line ${lineNumber} has ${fields.length} fields, and line 1 has ${head.length}`,
      );
    }
    rows.push(Object.fromEntries(head.map((name, i) => [name, fields[i] as string])));
  }
  return rows;
}

/** The fields of one record, which may go over several lines. CsvFault where there is more than one, or none that ends. */
export function csvFields(record: string): readonly string[] {
  const [first, second] = records(record);
  if (second !== undefined) throw new CsvFault('a quote is closed before its line ends');
  return first?.fields ?? [''];
}

function* records(
  text: string,
): Generator<{ readonly fields: string[]; readonly lineNumber: number }> {
  let place = 0;
  let lineNumber = 1;
  while (place < text.length) {
    const fields: string[] = [];
    const startedAt = lineNumber;
    for (;;) {
      const field = fieldAt(text, place, lineNumber);
      fields.push(field.value);
      place = field.end;
      lineNumber += field.lines;
      if (text[place] !== ',') break;
      place += 1;
    }
    if (text[place] === '\r') place += 1;
    place += 1;
    lineNumber += 1;
    yield { fields, lineNumber: startedAt };
  }
}

interface Field {
  readonly value: string;
  /** Of the comma or line end behind it. */
  readonly end: number;
  readonly lines: number;
}

function fieldAt(text: string, start: number, lineNumber: number): Field {
  if (text[start] !== '"') {
    let end = start;
    while (end < text.length && text[end] !== ',' && !isLineEnd(text, end)) end += 1;
    return { value: text.slice(start, end), end, lines: 0 };
  }
  let value = '';
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote === -1) throw new CsvFault(`line ${lineNumber} opens a quote that nothing closes`);
    value += text.slice(from, quote);
    if (text[quote + 1] !== '"') {
      const end = quote + 1;
      if (end < text.length && text[end] !== ',' && !isLineEnd(text, end)) {
        throw new CsvFault(`line ${lineNumber} has text behind a closing quote`);
      }
      return { value, end, lines: value.split('\n').length - 1 };
    }
    value += '"';
    from = quote + 2;
  }
}

function isLineEnd(text: string, place: number): boolean {
  return text[place] === '\n' || (text[place] === '\r' && text[place + 1] === '\n');
}
