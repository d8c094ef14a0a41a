/** Where engines run, and whether dead ones are replaced: what Start asks under "More…". */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IClusterModel, ILauncher, IStartOptions } from './tokens.js';

const LOCAL: ILauncher = { name: 'local', ok: true, why: null };

export interface IWhere {
  readonly open: boolean;
  readonly show: () => void;
  readonly launchers: readonly ILauncher[];
  readonly chosen: ILauncher;
  readonly choose: (name: string) => void;
  readonly hosts: string;
  readonly setHosts: (value: string) => void;
  readonly restart: boolean;
  readonly setRestart: (value: boolean) => void;
  /** What the start is told. */
  readonly options: IStartOptions;
  /** Whether nothing can be started like this. */
  readonly wrong: boolean;
}

export function useWhere(model: IClusterModel): IWhere {
  const [open, setOpen] = React.useState(false);
  const [launchers, setLaunchers] = React.useState<readonly ILauncher[]>([LOCAL]);
  const [name, choose] = React.useState(LOCAL.name);
  const [hosts, setHosts] = React.useState('');
  const [restart, setRestart] = React.useState(false);
  const show = () => {
    setOpen(true);
    // Without an answer there is this machine, as there always is.
    model.launchers().then(setLaunchers, () => undefined);
  };
  const chosen = launchers.find(one => one.name === name) ?? LOCAL;
  const options: IStartOptions = {};
  if (chosen.name !== LOCAL.name) {
    options.engines = chosen.name === 'ssh' ? `ssh:${hosts.trim()}` : chosen.name;
  }
  if (restart) {
    options.restart = true;
  }
  const wrong = !chosen.ok || (chosen.name === 'ssh' && hosts.trim() === '');
  return {
    ...{ open, show, launchers, chosen, choose, hosts, setHosts },
    ...{ restart, setRestart, options, wrong }
  };
}

export function Where(props: { where: IWhere; trans: TranslationBundle }): React.JSX.Element {
  const { where, trans } = props;
  const missing = where.chosen.ok ? '' : (where.chosen.why ?? trans.__('It cannot be used here.'));
  return (
    <>
      <div className="px-Field">
        <label htmlFor="px-launcher">{trans.__('Where')}</label>
        <select
          id="px-launcher"
          className="px-Text"
          autoFocus
          value={where.chosen.name}
          aria-label={trans.__('Where engines run')}
          aria-describedby={missing ? 'px-launcher-wrong' : undefined}
          aria-invalid={missing !== ''}
          onChange={event => {
            where.choose(event.target.value);
          }}
        >
          {where.launchers.map(one => (
            <option key={one.name} value={one.name}>
              {one.name === 'local' ? trans.__('this machine') : one.name}
            </option>
          ))}
        </select>
        {missing && (
          <span id="px-launcher-wrong" className="px-Wrong" role="alert">
            {missing}
          </span>
        )}
      </div>
      {where.chosen.name === 'ssh' && (
        <div className="px-Field">
          <label htmlFor="px-hosts">{trans.__('Hosts')}</label>
          <input
            id="px-hosts"
            type="text"
            className="px-Text"
            spellCheck={false}
            placeholder="big=8,me@small:2222=2"
            value={where.hosts}
            onChange={event => {
              where.setHosts(event.target.value);
            }}
          />
        </div>
      )}
      <label className="px-Check">
        <input
          type="checkbox"
          checked={where.restart}
          onChange={event => {
            where.setRestart(event.target.checked);
          }}
        />
        {trans.__('Replace engines that die')}
      </label>
    </>
  );
}
