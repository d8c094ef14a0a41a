/** One cluster: a line that tells its state, and under it what there is to see and do. */
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  addAboveIcon,
  caretDownIcon,
  caretRightIcon,
  listIcon,
  refreshIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CountField, IconButton, Problem, StateMark, TextButton } from './components.js';
import type { EngineMenu } from './engines.js';
import { EngineTable } from './engines.js';
import { interruptIcon } from './icons.js';
import { engineCount } from './state.js';
import type { ICluster, IClusterModel } from './tokens.js';
import { CommandIDs } from './tokens.js';
import { clusterFacts, clusterState } from './words.js';

export interface IRowProps {
  cluster: ICluster;
  model: IClusterModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
  open: boolean;
  now: number;
  setOpen: (open: boolean) => void;
  openMenu: EngineMenu;
}

export function ClusterRow(props: IRowProps): React.JSX.Element {
  const { cluster, model, commands, trans, open } = props;
  const explained = open && cluster.state === 'degraded' && hasDead(cluster);
  const problem = model.problems.get(cluster.id) ?? (explained ? null : cluster.error);
  const stopping = cluster.state === 'stopping' || model.asked.get(cluster.id) === 'stop';
  const shown: ICluster = stopping ? { ...cluster, state: 'stopping' } : cluster;
  const stop = () => {
    void commands.execute(CommandIDs.stop, { cluster: cluster.id });
  };
  return (
    <li className="px-Cluster" data-cluster={cluster.id} data-state={shown.state}>
      <div className="px-Cluster-head">
        <button
          type="button"
          className="px-Cluster-title"
          aria-expanded={open}
          aria-controls={`px-details-${cluster.id}`}
          onClick={() => {
            props.setOpen(!open);
          }}
          onKeyDown={event => {
            handleKey(event, props, stop);
          }}
        >
          {open ? (
            <caretDownIcon.react tag="span" className="px-Icon" />
          ) : (
            <caretRightIcon.react tag="span" className="px-Icon" />
          )}
          <StateMark state={shown.state} />
          <span className="px-Cluster-name" title={cluster.id}>
            {cluster.id}
          </span>
          <span className="px-Cluster-state">{clusterState(shown, trans)}</span>
        </button>
        <IconButton
          icon={stopIcon}
          label={trans.__('Stop %1', cluster.id)}
          disabled={stopping}
          onClick={stop}
        />
      </div>
      {shown.state === 'starting' && <StartProgress cluster={cluster} trans={trans} />}
      {problem && (
        <Problem
          problem={problem}
          trans={trans}
          onDismiss={
            model.problems.has(cluster.id)
              ? () => {
                  model.dismiss(cluster.id);
                }
              : undefined
          }
        >
          <TextButton
            label={trans.__('Log of %1', cluster.id)}
            onClick={() => {
              void commands.execute(CommandIDs.logs, { cluster: cluster.id });
            }}
          >
            {trans.__('Log')}
          </TextButton>
        </Problem>
      )}
      <div id={`px-details-${cluster.id}`} className="px-Details" hidden={!open}>
        {open && <Details {...props} stopping={stopping} />}
      </div>
    </li>
  );
}

/** What is wrong with a degraded cluster stands beside its dead engines, where they are shown. */
function hasDead(cluster: ICluster): boolean {
  return cluster.engines?.some(engine => engine.state === 'dead') ?? false;
}

function StartProgress(props: { cluster: ICluster; trans: TranslationBundle }): React.JSX.Element {
  const { cluster, trans } = props;
  return (
    <div
      className="px-Progress"
      role="progressbar"
      aria-label={trans.__('Engines of %1 that answer', cluster.id)}
      aria-valuemin={0}
      aria-valuemax={cluster.n}
      aria-valuenow={cluster.ready}
      aria-valuetext={trans.__('%1 of %2', cluster.ready, cluster.n)}
    >
      <div style={{ width: `${(100 * cluster.ready) / Math.max(1, cluster.n)}%` }} />
    </div>
  );
}

function Details(props: IRowProps & { stopping: boolean }): React.JSX.Element {
  const { cluster, commands, trans, stopping } = props;
  const args = { cluster: cluster.id };
  const idle = stopping || cluster.ready === 0;
  return (
    <>
      <p className="px-Facts">{clusterFacts(cluster, props.now, trans)}</p>
      <div className="px-Actions">
        <TextButton
          icon={addAboveIcon}
          disabled={stopping || cluster.state === 'failed'}
          label={trans.__('Use %1 in the notebook', cluster.id)}
          title={trans.__('Insert a cell that connects to this cluster (with Shift: and run it)')}
          onClick={event => {
            void commands.execute(CommandIDs.use, { ...args, run: event.shiftKey });
          }}
        >
          {trans.__('Use in notebook')}
        </TextButton>
        <IconButton
          icon={interruptIcon}
          disabled={idle}
          label={trans.__('Interrupt all engines of %1', cluster.id)}
          onClick={() => {
            void commands.execute(CommandIDs.interrupt, args);
          }}
        />
        <IconButton
          icon={refreshIcon}
          disabled={stopping}
          label={trans.__('Restart all engines of %1', cluster.id)}
          onClick={() => {
            void commands.execute(CommandIDs.restart, args);
          }}
        />
        <IconButton
          icon={listIcon}
          label={trans.__('Log of %1', cluster.id)}
          onClick={() => {
            void commands.execute(CommandIDs.logs, args);
          }}
        />
      </div>
      <ScaleField {...props} />
      <EngineTable cluster={cluster} commands={commands} trans={trans} openMenu={props.openMenu} />
      <Totals cluster={cluster} trans={trans} />
    </>
  );
}

/** A number that differs from what there is can be made so. */
function ScaleField(props: IRowProps & { stopping: boolean }): React.JSX.Element {
  const { cluster, model, trans, stopping } = props;
  const [typed, setTyped] = React.useState<string | null>(null);
  const value = typed ?? String(cluster.n);
  const n = engineCount(value);
  const differs = n !== null && n !== cluster.n;
  const scale = async () => {
    if (differs && !stopping && (await model.scale(cluster.id, n))) {
      setTyped(null);
    }
  };
  const go = () => {
    void scale();
  };
  return (
    <div className="px-Scale">
      <CountField
        id={`px-scale-${cluster.id}`}
        label={trans.__('Engines')}
        name={trans.__('Number of engines of %1', cluster.id)}
        value={value}
        onChange={setTyped}
        onEnter={go}
        trans={trans}
      />
      {differs && (
        <TextButton
          primary
          disabled={stopping || model.asked.get(cluster.id) === 'scale'}
          label={trans.__('Scale %1 to %2 engines', cluster.id, n)}
          onClick={go}
        >
          {trans.__('Scale to %1', n)}
        </TextButton>
      )}
    </div>
  );
}

function Totals(props: { cluster: ICluster; trans: TranslationBundle }): React.JSX.Element | null {
  const { cluster, trans } = props;
  const done = sum(cluster, 'done');
  const failed = sum(cluster, 'failed');
  if (done + failed === 0) {
    return null;
  }
  return (
    <p className="px-Facts">
      {trans._n('%1 task done', '%1 tasks done', done)}
      {' · '}
      {trans.__('%1 failed', failed)}
    </p>
  );
}

function sum(cluster: ICluster, what: 'done' | 'failed'): number {
  const engines = cluster.engines ?? [];
  return Math.max(
    cluster[what] ?? 0,
    engines.reduce((total, engine) => total + (engine[what] ?? 0), 0)
  );
}

/** Arrows go from cluster to cluster and open and close them; Delete stops. */
function handleKey(event: React.KeyboardEvent, props: IRowProps, stop: () => void): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step !== undefined) {
    const list = event.currentTarget.closest('.px-List');
    const titles = [...(list?.querySelectorAll<HTMLElement>('.px-Cluster-title') ?? [])];
    titles[titles.indexOf(event.currentTarget as HTMLElement) + step]?.focus();
  } else if (event.key === 'ArrowRight') {
    props.setOpen(true);
  } else if (event.key === 'ArrowLeft') {
    props.setOpen(false);
  } else if (event.key === 'Delete') {
    stop();
  } else {
    return;
  }
  event.preventDefault();
}
