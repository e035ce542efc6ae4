import { type Alert, KeelsonError, type Platform } from '@keelson/core';
import { findDeployment } from './find-by-id.ts';

/** The alerts of all deployments, or of one; newest first. */
export async function alertsOf(
  platform: Platform,
  deployment: string | undefined,
): Promise<readonly Alert[]> {
  const { deployments, monitoring } = platform;
  const found: Alert[] = [];
  if (deployment !== undefined) {
    const { id } = await findDeployment(platform, deployment);
    found.push(...(await monitoring.listAlerts(id)));
  } else {
    let cursor: string | undefined;
    do {
      const page = await deployments.list({
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const { id } of page.deployments) found.push(...(await monitoring.listAlerts(id)));
      cursor = page.cursor;
    } while (cursor !== undefined);
  }
  return found.toSorted((a, b) => b.firstAt - a.firstAt);
}

/** The alert of an id, or of the beginning or end of one. */
export async function findAlert(platform: Platform, text: string): Promise<Alert> {
  const all = await alertsOf(platform, undefined);
  const exact = all.find(({ id }) => id === text);
  if (exact !== undefined) return exact;
  const fitting =
    text.length < 4 ? [] : all.filter(({ id }) => id.startsWith(text) || id.endsWith(text));
  const [first] = fitting;
  if (first !== undefined && fitting.length === 1) return first;
  const why =
    first === undefined
      ? `There is no alert ${text}; \`keelson alerts list\` shows them.`
      : `${text} is more than one alert: ${fitting.map(({ id }) => id).join(', ')}. Give more of the id.`;
  throw new KeelsonError(first === undefined ? 'NOT_FOUND' : 'CONFLICT', why);
}
