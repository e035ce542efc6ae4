import type { Revision } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { to } from '../../routing/address.ts';
import { liveOf } from './deployment-state.ts';
import { shortName } from './weights.tsx';

/** Every change of a deployment, and the way back to each. */
export function Revisions({ name }: { readonly name: string }): JSX.Element {
  const revisions = useResource(
    `revisions ${name}`,
    async (signal) => {
      const [{ revisions: all }, { currentRevision }] = await Promise.all([
        api.rollouts.revisions({ deployment: name, limit: 200 }, { signal }),
        api.deployments.get({ deployment: name }, { signal }),
      ]);
      return { all, currentRevision };
    },
    liveOf(name),
  );
  return (
    <Section title="Revisions, newest first">
      <Shown of={revisions}>
        {({ all, currentRevision }) => (
          <Scroll>
            <table>
              <thead>
                <tr>
                  <th class="number">No.</th>
                  <th>Version</th>
                  <th>Changed</th>
                  <th>How</th>
                  <th>State</th>
                  <th>Risk</th>
                  <th>Why</th>
                  <th>By</th>
                  <th>When</th>
                  <th>
                    <span class="hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {all.map((each) => (
                  <Row
                    key={each.id}
                    name={name}
                    of={each}
                    isCurrent={each.number === currentRevision}
                  />
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Shown>
    </Section>
  );
}

function Row({
  name,
  of,
  isCurrent,
}: {
  readonly name: string;
  readonly of: Revision;
  readonly isCurrent: boolean;
}): JSX.Element {
  const { number, after, changed, strategy, rolloutStatus, rolloutId, risk, rollbackTo } = of;
  return (
    <tr>
      <td class="number">{number}</td>
      <td class="lead">
        {rolloutId === undefined ? (
          shortName(after.version)
        ) : (
          <a href={to('deployments', name, { rollout: rolloutId })}>{shortName(after.version)}</a>
        )}{' '}
        {isCurrent && <span class="tag">in force</span>}
        {of.verified?.damage !== undefined && <Status of="damaged" tone="bad" />}
      </td>
      <td class="wrap">{changed.join(', ') || '–'}</td>
      <td>
        {strategy}
        {rollbackTo !== undefined && `, back to ${rollbackTo}`}
      </td>
      <td>
        <Status of={rolloutStatus} />
      </td>
      <td title={risk === undefined ? undefined : `Suggested: ${risk.suggested}`}>
        {risk === undefined ? '–' : `${risk.score} of 100`}
      </td>
      <td class="wrap">{of.reason}</td>
      <td>{of.createdBy}</td>
      <td>
        <Ago at={of.createdAt} />
      </td>
      <td>
        {!isCurrent && (
          <Act
            name="Go back"
            tone="danger"
            title={`Go back to revision ${number}?`}
            does={['rollouts.rollback', `deployment:${name}`]}
            consequence={
              <p>
                {after.version} answers all requests at once, run as it was then. This is a revision
                of its own, and can be left the same way.
              </p>
            }
            ask="Reason"
            isNeeded
            run={(reason) =>
              api.rollouts.rollback({ deployment: name, body: { to: number, reason } })
            }
          />
        )}
      </td>
    </tr>
  );
}
