/** Start: how many engines, and a button. The name is asked for only if it must be. */
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CountField, Problem, TextButton } from './components.js';
import { engineCount, freeName, NAME, usualCount } from './state.js';
import type { IClusterModel, IClusterSettings } from './tokens.js';
import { NEW } from './tokens.js';
import { useWhere, Where } from './where.js';

const REMEMBERED = 'px-cluster:engines';

/** The number started last, else the setting, else one per core. */
function useEngineCount(
  model: IClusterModel,
  settings: IClusterSettings,
  state: IStateDB | null
): [string, (value: string) => void] {
  const [typed, setTyped] = React.useState<string | null>(null);
  const [remembered, setRemembered] = React.useState<string | null>(null);
  React.useEffect(() => {
    void state?.fetch(REMEMBERED).then(value => {
      if (typeof value === 'number') {
        setRemembered(String(value));
      }
    });
  }, [state]);
  const usual = usualCount(settings.defaultEngines, model.clusters.host);
  return [typed ?? remembered ?? String(usual), setTyped];
}

export function StartForm(props: {
  model: IClusterModel;
  settings: IClusterSettings;
  state: IStateDB | null;
  trans: TranslationBundle;
  startRef: React.Ref<HTMLButtonElement>;
  onStarted: (id: string) => void;
}): React.JSX.Element {
  const { model, trans } = props;
  const [count, setCount] = useEngineCount(model, props.settings, props.state);
  const [typedName, setTypedName] = React.useState<string | null>(null);
  const [naming, setNaming] = React.useState(false);

  const where = useWhere(model);
  const list = model.clusters.list;
  const n = engineCount(count);
  const name = typedName ?? freeName(list);
  const nameWrong = wrongName(name, list, trans);
  const mustName = list.length > 0 || naming;
  const starting = model.asked.get(NEW) === 'start';
  const problem = model.problems.get(NEW);
  const cores = model.clusters.host.cores;

  const start = async () => {
    if (n === null || (mustName && nameWrong) || where.wrong || starting) {
      return;
    }
    void props.state?.save(REMEMBERED, n);
    if (await model.start(n, name === 'default' ? undefined : name, where.options)) {
      setTypedName(null);
      setNaming(false);
      props.onStarted(name);
    }
  };
  const go = () => {
    void start();
  };

  return (
    <div className="px-Form" role="group" aria-label={trans.__('Start a cluster')}>
      <CountField
        id="px-engines"
        label={trans.__('Engines')}
        name={trans.__('Number of engines')}
        value={count}
        onChange={setCount}
        onEnter={go}
        hint={cores ? trans._n('on %1 core', 'on %1 cores', cores) : undefined}
        trans={trans}
      />
      {mustName && (
        <div className="px-Field">
          <label htmlFor="px-name">{trans.__('Name')}</label>
          <input
            id="px-name"
            type="text"
            className="px-Text"
            spellCheck={false}
            maxLength={64}
            value={name}
            aria-invalid={nameWrong !== ''}
            aria-describedby={nameWrong ? 'px-name-wrong' : undefined}
            onChange={event => {
              setTypedName(event.target.value);
            }}
            onKeyDown={event => {
              if (event.key === 'Enter') {
                go();
              }
            }}
          />
          {nameWrong && (
            <span id="px-name-wrong" className="px-Wrong">
              {nameWrong}
            </span>
          )}
        </div>
      )}
      {where.open && <Where where={where} trans={trans} />}
      <div className="px-Actions">
        <TextButton
          primary
          icon={runIcon}
          innerRef={props.startRef}
          disabled={starting || n === null || where.wrong || (mustName && nameWrong !== '')}
          onClick={go}
        >
          {starting
            ? trans.__('Starting…')
            : trans._n('Start %2 engine', 'Start %2 engines', n ?? 2, n ?? '…')}
        </TextButton>
        {!mustName && (
          <TextButton
            link
            onClick={() => {
              setNaming(true);
            }}
            title={trans.__('Give the cluster a name of its own')}
          >
            {trans.__('Name…')}
          </TextButton>
        )}
        {!where.open && (
          <TextButton
            link
            onClick={where.show}
            title={trans.__('Where engines run, and what happens when one dies')}
          >
            {trans.__('More…')}
          </TextButton>
        )}
      </div>
      {problem && (
        <Problem
          problem={problem}
          trans={trans}
          onDismiss={() => {
            model.dismiss(NEW);
          }}
        />
      )}
    </div>
  );
}

function wrongName(
  name: string,
  list: readonly { id: string }[],
  trans: TranslationBundle
): string {
  if (!NAME.test(name)) {
    return trans.__('Letters, digits, dot, dash and underscore; 64 at most.');
  }
  return list.some(c => c.id === name) ? trans.__('%1 runs already.', name) : '';
}
