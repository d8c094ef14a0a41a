/** The status bar's item: how many engines there are, and whether all is well. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { StateMark } from './components.js';
import { clusterIcon } from './icons.js';
import type { ClusterState, ICluster, IClusterModel } from './tokens.js';
import { CommandIDs } from './tokens.js';
import { clusterState } from './words.js';

/** The state to show for all clusters together: the one that most needs a look. */
const GRAVITY: ClusterState[] = ['failed', 'degraded', 'starting', 'stopping', 'running'];

export class StatusItem extends ReactWidget {
  constructor(
    private readonly model: IClusterModel,
    private readonly commands: CommandRegistry,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.addClass('px-Status');
    this.addClass('jp-mod-highlighted');
  }

  protected render(): React.JSX.Element {
    return (
      <UseSignal signal={this.model.changed}>{() => this.item(this.model.clusters.list)}</UseSignal>
    );
  }

  private item(list: readonly ICluster[]): React.JSX.Element {
    const { trans } = this;
    const state = GRAVITY.find(s => list.some(c => c.state === s)) ?? 'running';
    const ready = list.reduce((sum, c) => sum + c.ready, 0);
    const asked = list.reduce((sum, c) => sum + c.n, 0);
    const count = ready === asked ? String(ready) : `${ready}/${asked}`;
    const each = list.map(c => `${c.id}: ${clusterState(c, trans)}`).join('\n');
    return (
      <button
        type="button"
        className="px-Status-button"
        title={each}
        aria-label={trans.__('%1 engines; open the Cluster tab', count)}
        onClick={() => {
          void this.commands.execute(CommandIDs.open);
        }}
      >
        <clusterIcon.react tag="span" className="px-Icon" />
        {state !== 'running' && <StateMark state={state} />}
        <span>{trans._n('%2 engine', '%2 engines', asked, count)}</span>
      </button>
    );
  }
}
