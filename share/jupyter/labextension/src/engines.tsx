/** A cluster's engines, one line each. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ellipsesIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { IconButton, StateMark, TextButton } from './components.js';
import type { ICluster, IEngine } from './tokens.js';
import { CommandIDs } from './tokens.js';
import { bytes, engineEnd, engineState, percent } from './words.js';

/** Engines shown before the rest is asked for. */
const SHOWN = 16;

export type EngineMenu = (cluster: string, engine: IEngine, at: HTMLElement) => void;

export function EngineTable(props: {
  cluster: ICluster;
  commands: CommandRegistry;
  trans: TranslationBundle;
  openMenu: EngineMenu;
}): React.JSX.Element | null {
  const { cluster, trans } = props;
  const [all, setAll] = React.useState(false);
  const engines = cluster.engines ?? [];
  if (engines.length === 0) {
    return null;
  }
  const shown = all ? engines : engines.slice(0, SHOWN);
  return (
    <>
      <table className="px-Engines" aria-rowcount={engines.length + 1}>
        <caption className="px-Hidden">{trans.__('Engines of %1', cluster.id)}</caption>
        <thead>
          <tr>
            <th scope="col" title={trans.__('Number of the engine')}>
              #
            </th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('CPU')}</th>
            <th scope="col" title={trans.__('Memory')}>
              {trans.__('RAM')}
            </th>
            <th scope="col" title={trans.__('Tasks running and waiting')}>
              {trans.__('Tasks')}
            </th>
            <th>
              <span className="px-Hidden">{trans.__('Actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map(engine => (
            <EngineRow
              key={engine.id}
              cluster={cluster.id}
              engine={engine}
              explain={cluster.state !== 'failed'}
              commands={props.commands}
              trans={trans}
              openMenu={props.openMenu}
            />
          ))}
        </tbody>
      </table>
      {engines.length > SHOWN && (
        <TextButton
          onClick={() => {
            setAll(!all);
          }}
        >
          {all ? trans.__('Show fewer') : trans.__('Show %1 more', engines.length - SHOWN)}
        </TextButton>
      )}
    </>
  );
}

function EngineRow(props: {
  cluster: string;
  engine: IEngine;
  /** Say why it is dead. */
  explain: boolean;
  commands: CommandRegistry;
  trans: TranslationBundle;
  openMenu: EngineMenu;
}): React.JSX.Element {
  const { engine, trans } = props;
  const dead = engine.state === 'dead';
  const act = (command: string) => () => {
    void props.commands.execute(command, { cluster: props.cluster, engine: engine.id });
  };
  const menu = (at: HTMLElement) => {
    props.openMenu(props.cluster, engine, at);
  };
  const title = engine.pid ? trans.__('Process %1 on %2', engine.pid, engine.host ?? '') : '';
  return (
    <>
      <tr
        data-engine={engine.id}
        title={title}
        onContextMenu={event => {
          event.preventDefault();
          event.stopPropagation();
          menu(event.currentTarget);
        }}
      >
        <th scope="row">{engine.id}</th>
        <td>
          <span className="px-State">
            <StateMark state={engine.state} />
            {engineState(engine, trans)}
          </span>
        </td>
        <td>{dead ? '–' : percent(engine.cpu)}</td>
        <td>{dead ? '–' : bytes(engine.rss)}</td>
        <td>{dead ? '–' : tasks(engine)}</td>
        <td>
          <IconButton
            icon={ellipsesIcon}
            label={trans.__('Actions on engine %1 of %2', engine.id, props.cluster)}
            onClick={event => {
              menu(event.currentTarget as HTMLElement);
            }}
          />
        </td>
      </tr>
      {dead && props.explain && (
        <tr className="px-Engines-end">
          <td />
          <td colSpan={5}>
            {engineEnd(engine, trans)}
            <div className="px-Actions">
              <TextButton
                label={trans.__('Restart engine %1 of %2', engine.id, props.cluster)}
                onClick={act(CommandIDs.restart)}
              >
                {trans.__('Restart')}
              </TextButton>
              <TextButton
                label={trans.__('Log of engine %1 of %2', engine.id, props.cluster)}
                onClick={act(CommandIDs.logs)}
              >
                {trans.__('Log')}
              </TextButton>
            </div>
          </td>
        </tr>
      )}
    </>
  );
}

function tasks(engine: IEngine): string {
  const queued = engine.queued ?? 0;
  const running = engine.running ?? 0;
  return queued ? `${running} + ${queued}` : String(running);
}
