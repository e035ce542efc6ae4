import type { VersionedRoute } from '@keelson/core';
import type { JSX } from 'preact';
import { colorAt, colorOf, showNumber } from '../../parts/format.ts';

/** `1.2.0` of `fraud@1.2.0`. */
export function shortName(version: string): string {
  return version.split('@').at(-1) ?? version;
}

/** The colour of `fraud@1.2.0`: always the same, and another than that of the versions near it. */
export function colorOfVersion(version: string): string {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(shortName(version)) ?? [];
  if (major === undefined) return colorOf(version);
  return colorAt(Number(major) * 7 + Number(minor) * 3 + Number(patch));
}

/** Who answers how much, as a bar with its words. */
export function Weights({ of }: { readonly of: VersionedRoute['route'] }): JSX.Element {
  const shadows = of.shadows.filter(
    ({ versionId }) => !of.targets.some((target) => target.versionId === versionId),
  );
  return (
    <div class="weights">
      <div class="bar" aria-hidden="true">
        {of.targets.map(({ versionId, weightPercent, key = versionId }) => (
          <i key={versionId} style={{ flexGrow: weightPercent, background: colorOfVersion(key) }} />
        ))}
      </div>
      <span>
        {of.targets.map(({ versionId, weightPercent, key = versionId }) => (
          <span key={versionId} class="weight">
            <i style={{ background: colorOfVersion(key) }} aria-hidden="true" />
            {shortName(key)} {showNumber(weightPercent)} %
          </span>
        ))}
        {shadows.length > 0 && <span class="faint"> and a shadow</span>}
      </span>
    </div>
  );
}
