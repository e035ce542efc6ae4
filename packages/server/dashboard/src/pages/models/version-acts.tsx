import type { ModelVersion, VersionVerification } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { api, Refusal } from '../../api/client.ts';
import { useAction, useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Status } from '../../parts/basics.tsx';
import { setView } from '../../routing/address.ts';

/** What can be done with a version. */
export function VersionActs({ version }: { readonly version: ModelVersion }): JSX.Element {
  return (
    <>
      <VerifyFiles version={version} />
      <SetAlias version={version} />
      <Deprecate version={version} />
      <Move version={version} />
    </>
  );
}

/** Asks for another stage: those that the model's policy knows a way to. */
function Move({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number, stage } = version;
  const model = useResource(`policy ${name}`, (signal) => api.models.get({ name }, { signal }));
  const rules = (model.data?.policy.transitions ?? []).filter(({ from }) => from === stage);
  const up = rules.find(
    ({ to }) => to === 'PRODUCTION' || (stage === 'DEVELOPMENT' && to === 'STAGING'),
  );
  const chosen = useSignal<string | undefined>(undefined);
  const rule = rules.find(({ to }) => to === chosen.value) ?? up ?? rules[0];
  const refused =
    model.data !== undefined && rules.length === 0
      ? `The policy of ${name} knows no way from ${stage.toLowerCase()}`
      : undefined;
  return (
    <Act
      name="Move"
      tone="main"
      title={`Move ${name} ${number} to another stage?`}
      does={['stages.setStage', `model:${name}`]}
      ask="Reason"
      isNeeded
      refused={refused}
      consequence={rule !== undefined && <WhatMovingTakes rule={rule} />}
      run={async (reason) => {
        if (rule === undefined) throw new Refusal(0, 'INVALID', 'There is no stage to go to.');
        const confirm = rule.confirmation === true ? { confirm: true } : {};
        const { transition } = await api.stages.setStage({
          ...{ name, version: number },
          body: { stage: rule.to, reason, ...confirm },
        });
        if (transition.status !== 'DONE') setView({ tab: 'stages' });
      }}
    >
      <label>
        To
        <select
          value={rule?.to}
          onChange={({ currentTarget }) => {
            chosen.value = currentTarget.value;
          }}
        >
          {rules.map(({ to }) => (
            <option key={to} value={to}>
              {to.toLowerCase()}
            </option>
          ))}
        </select>
      </label>
    </Act>
  );
}

function WhatMovingTakes({
  rule,
}: {
  readonly rule: {
    readonly to: string;
    readonly approvals: number;
    readonly checks: readonly { readonly check: string }[];
  };
}): JSX.Element {
  const checks = rule.checks.map(({ check }) => check).join(', ');
  return (
    <>
      <p>
        {checks === '' ? 'Nothing is checked.' : `It is checked for: ${checks}.`}{' '}
        {rule.approvals === 0
          ? 'It moves as soon as its checks pass.'
          : `It waits for ${rule.approvals === 1 ? 'an approval' : `${rule.approvals} approvals`}.`}
      </p>
      {rule.to === 'PRODUCTION' && (
        <p>
          Deployments that follow promotions roll it out then; the version that is in production now
          makes room for it.
        </p>
      )}
      {rule.to === 'ARCHIVED' && <p>Nobody can deploy or change it from then on.</p>}
    </>
  );
}

function SetAlias({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number, aliases } = version;
  const alias = useSignal('champion');
  const isTaken = aliases.includes(alias.value);
  return (
    <Act
      name="Alias"
      does={['models.setAlias', `model:${name}`]}
      title={
        isTaken ? `Take ${alias.value} away from ${number}?` : `Let an alias point to ${number}?`
      }
      consequence={
        <p>
          Whoever asks for <code>{`${name}@${alias.value}`}</code>{' '}
          {isTaken ? 'finds nothing from now on' : 'gets this version from now on'}. It can be
          changed back at any time.
        </p>
      }
      run={() =>
        isTaken
          ? api.models.removeAlias({ name, alias: alias.value })
          : api.models.setAlias({ name, alias: alias.value, body: { version: number } })
      }
    >
      <label>
        Alias
        <input
          type="text"
          required
          list="aliases"
          value={alias.value}
          onInput={({ currentTarget }) => {
            alias.value = currentTarget.value;
          }}
        />
        <datalist id="aliases">
          {aliases.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      </label>
    </Act>
  );
}

function Deprecate({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number, deprecated } = version;
  if (deprecated !== undefined) {
    return (
      <Act
        name="Undeprecate"
        title={`May ${name} ${number} be used again?`}
        does={['versions.undeprecate', `model:${name}`]}
        consequence={<p>It is shown and handed out without a warning again.</p>}
        run={() => api.versions.undeprecate({ name, version: number })}
      />
    );
  }
  return (
    <Act
      name="Deprecate"
      tone="danger"
      title={`Deprecate ${name} ${number}?`}
      does={['versions.deprecate', `model:${name}`]}
      consequence={<p>It goes on answering where it is deployed; whoever loads it is warned.</p>}
      ask="Reason"
      isNeeded
      run={(reason) => api.versions.deprecate({ name, version: number, body: { reason } })}
    />
  );
}

/** Reads every file, and says whether it is what was registered. */
function VerifyFiles({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number } = version;
  const found = useSignal<VersionVerification | undefined>(undefined);
  const { busy, error, run } = useAction();
  const count = found.value?.problems.length;
  return (
    <>
      <span role="status">
        {error.value !== undefined && <span class="bad">{error.value.message}</span>}
        {count !== undefined && (
          <Status
            of={count === 0 ? 'files are whole' : `${count} files are damaged`}
            tone={count === 0 ? 'good' : 'bad'}
          />
        )}
      </span>
      <button
        type="button"
        disabled={busy.value}
        onClick={() =>
          void run(async () => {
            found.value = await api.versions.verify({ name, version: number });
          })
        }
      >
        {busy.value ? 'Reading …' : 'Verify files'}
      </button>
    </>
  );
}
