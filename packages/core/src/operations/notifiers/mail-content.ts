import type { NotificationContent } from '../../contracts/notification-content.ts';
import type { Notification, Severity } from '../../contracts/ports.ts';
import { storableText } from '../../json.ts';

const colours: Record<Severity, string> = {
  INFO: '#3b6ea5',
  WARNING: '#b7791f',
  CRITICAL: '#c0392b',
  EMERGENCY: '#7b1fa2',
};
const over = '#2f855a';

/** The parts of a message as lines of plain text. */
export function mailLines({ facts, items, actions }: NotificationContent): readonly string[] {
  return [
    ...items.slice(3).map(({ title, text }) => `- ${title}: ${text}`),
    ...facts.map(({ name, value }) => `${name}: ${value}`),
    ...(actions.length === 0 ? [] : ['', 'What may be done:']),
    ...actions.map(
      ({ title, command, url }) => `- ${[title, command ?? url].filter(Boolean).join(': ')}`,
    ),
  ];
}

/** The same as a page: no scripts, no images, nothing that is fetched; all text of others is escaped. */
export function mailHtml(
  { state, severity, title, at }: Notification,
  { facts, items, actions }: NotificationContent,
): string {
  const colour = state === 'RESOLVED' ? over : colours[severity];
  const word = state === 'OPEN' ? severity : state;
  const rows = facts.map(
    ({ name, value }) =>
      `<tr><td style="color:#555;padding:2px 12px 2px 0;vertical-align:top">${escaped(name)}</td><td>${escaped(value)}</td></tr>`,
  );
  const parts = items.map(
    ({ title: what, text }) => `<li><b>${escaped(what)}</b><br>${escaped(text)}</li>`,
  );
  const todo = actions.map(({ title: what, command, url }) => {
    const link =
      url === undefined ? escaped(what) : `<a href="${escaped(url)}">${escaped(what)}</a>`;
    return `<li>${link}${command === undefined ? '' : ` <code>${escaped(command)}</code>`}</li>`;
  });
  return storableText(
    [
      '<!doctype html><html><body style="font-family:sans-serif;font-size:14px;color:#222">',
      `<p style="border-left:4px solid ${colour};padding-left:8px"><b style="color:${colour}">${word}</b> ${escaped(title)}</p>`,
      ...(parts.length === 0 ? [] : [`<ul>${parts.join('')}</ul>`]),
      ...(rows.length === 0 ? [] : [`<table cellspacing="0">${rows.join('')}</table>`]),
      ...(todo.length === 0 ? [] : [`<p>What may be done</p><ul>${todo.join('')}</ul>`]),
      `<p style="color:#777">${new Date(at).toISOString()}</p></body></html>`,
    ].join('\n'),
    200_000,
  );
}

function escaped(text: string): string {
  const forms: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => forms[character] ?? '');
}
