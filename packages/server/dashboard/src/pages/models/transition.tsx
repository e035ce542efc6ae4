import type { StageTransition } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Status } from '../../parts/basics.tsx';

const tones = {
  DONE: 'good',
  PENDING: 'warn',
  APPLYING: 'busy',
  FAILED: 'bad',
  REJECTED: 'bad',
  WITHDRAWN: 'quiet',
  EXPIRED: 'quiet',
} as const;

/** A request to move a version: what was checked, who decided, and what can be decided here. */
export function Transition({
  of,
  model,
  version,
}: {
  readonly of: StageTransition;
  readonly model: string;
  readonly version: string;
}): JSX.Element {
  const { id, from, to, status, reason, requestedBy, requestedAt, checks, approvals } = of;
  const failed = checks.filter(({ passed }) => !passed);
  return (
    <article class="transition">
      <header class="row">
        <b>
          {from.toLowerCase()} → {to.toLowerCase()}
        </b>
        <Status of={status === 'PENDING' ? 'waits for approval' : status} tone={tones[status]} />
        {of.emergency && <Status of="emergency" tone="bad" />}
        {status === 'PENDING' && (
          <div class="actions">
            <Act
              name="Approve"
              does={['stages.approve', `model:${model}`]}
              tone="main"
              title={`Approve ${version} for ${to.toLowerCase()}?`}
              consequence={
                <p>
                  The approval that decides moves the version to {to.toLowerCase()}; it is kept in
                  the audit trail with your comment.
                </p>
              }
              ask="Comment"
              run={(comment) =>
                api.stages.approve({
                  transitionId: id,
                  body: comment === '' ? {} : { comment },
                })
              }
            />
            <Act
              name="Reject"
              does={['stages.reject', `model:${model}`]}
              tone="danger"
              title={`Reject ${version} for ${to.toLowerCase()}?`}
              consequence={<p>The request ends. Another one can be made later.</p>}
              ask="Comment"
              isNeeded
              run={(comment) => api.stages.reject({ transitionId: id, body: { comment } })}
            />
            <Act
              name="Withdraw"
              does={['stages.withdraw', `model:${model}`]}
              title="Withdraw the request?"
              consequence={<p>Who asked for it takes it back; the version stays where it is.</p>}
              ask="Comment"
              run={(comment) =>
                api.stages.withdraw({
                  transitionId: id,
                  body: comment === '' ? {} : { comment },
                })
              }
            />
          </div>
        )}
      </header>
      <p>
        <span class="faint">
          {requestedBy} asked <Ago at={requestedAt} />:
        </span>{' '}
        {reason}
      </p>
      {of.ended !== undefined && <p class="bad">{of.ended}</p>}
      {of.expiresAt !== undefined && status === 'PENDING' && (
        <p class="faint">
          Expires <Ago at={of.expiresAt} /> unless it is approved.
        </p>
      )}
      {approvals.map(({ principal, decision, comment, at, roles }) => (
        <p key={principal}>
          <Status of={decision === 'APPROVE' ? 'approved' : 'rejected'} /> by {principal}
          {roles.length > 0 && ` (${roles.join(', ')})`}, <Ago at={at} />
          {comment !== '' && `: ${comment}`}
        </p>
      ))}
      {checks.length > 0 && (
        <details open={failed.length > 0}>
          <summary>
            {failed.length === 0
              ? `${checks.length} checks passed`
              : `${failed.length} of ${checks.length} checks failed`}
          </summary>
          <ul class="checks">
            {checks.map(({ name, passed, detail }) => (
              <li key={name}>
                <Status of={passed ? 'passed' : 'failed'} tone={passed ? 'good' : 'bad'} />{' '}
                <b>{name}</b> {detail}
              </li>
            ))}
          </ul>
        </details>
      )}
    </article>
  );
}
