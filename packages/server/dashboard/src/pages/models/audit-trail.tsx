import type { AuditReport } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { Ago, Problem, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showNumber } from '../../parts/format.ts';

const most = 100;

/** Who did what to a model, and whether that was altered since. */
export function AuditTrail({
  name,
  versionId,
}: {
  readonly name: string;
  /** Only what is about this version. */
  readonly versionId?: string;
}): JSX.Element {
  const subject = `model:${name}`;
  const entries = useResource(
    `audit ${name}`,
    (signal) => api.audit.entries({ subject, limit: most }, { signal }),
    { on: ['model.', 'promotion.'], matters: (event) => event.subject === subject },
  );
  const report = useSignal<AuditReport | undefined>(undefined);
  const { busy, error, run } = useAction();
  const verify = (): Promise<boolean> =>
    run(async () => {
      report.value = await api.audit.verify({});
    });
  return (
    <Section
      title="Audit trail"
      actions={
        <button type="button" disabled={busy.value} onClick={() => void verify()}>
          {busy.value ? 'Verifying …' : 'Verify the trail'}
        </button>
      }
    >
      {error.value !== undefined && <Problem error={error.value} />}
      <div role="status">{report.value !== undefined && <Verified report={report.value} />}</div>
      <Shown of={entries}>
        {({ entries: all, more }) => {
          const shown =
            versionId === undefined
              ? all
              : all.filter(({ attests }) => JSON.stringify(attests).includes(versionId));
          if (shown.length === 0) return <p class="faint">Nothing is recorded of it here.</p>;
          return (
            <>
              <Scroll>
                <table>
                  <thead>
                    <tr>
                      <th class="number">No.</th>
                      <th>When</th>
                      <th>Who</th>
                      <th>What</th>
                      <th>Why</th>
                      <th>Digest</th>
                    </tr>
                  </thead>
                  <tbody>
                    {shown.map(({ sequence, at, principal, action, reason, digest }) => (
                      <tr key={sequence}>
                        <td class="number">{sequence}</td>
                        <td>
                          <Ago at={at} />
                        </td>
                        <td>{principal}</td>
                        <td>{action}</td>
                        <td class="wrap">{reason ?? '–'}</td>
                        <td>
                          <code title={digest}>{digest.slice(0, 10)}</code>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
              {more && <p class="faint">The newest {most} entries; there are older ones.</p>}
            </>
          );
        }}
      </Shown>
    </Section>
  );
}

function Verified({ report }: { readonly report: AuditReport }): JSX.Element {
  const { intact, entries, events, seals, unsealed, problems, problemCount } = report;
  return (
    <div class={intact ? 'verified' : 'problem'}>
      <p>
        <Status of={intact ? 'intact' : 'altered'} tone={intact ? 'good' : 'bad'} />{' '}
        {intact
          ? `Everything is as it was written: ${showNumber(entries)} entries, ${showNumber(events)} sealed events, ${showNumber(seals)} seals.`
          : `${showNumber(problemCount)} things are not as they were written.`}{' '}
        {unsealed.entries + unsealed.events > 0 && (
          <span class="faint">
            No seal covers the newest {showNumber(unsealed.entries)} entries and{' '}
            {showNumber(unsealed.events)} events yet.
          </span>
        )}
      </p>
      {problems.length > 0 && (
        <ul>
          {problems.slice(0, 10).map((each) => (
            <li key={JSON.stringify(each)}>{each.problem}</li>
          ))}
        </ul>
      )}
    </div>
  );
}
