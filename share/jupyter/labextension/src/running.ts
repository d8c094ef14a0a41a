/** Clusters among what runs: JupyterLab's own list of kernels, terminals and tabs. */
import type { IRunningSessions } from '@jupyterlab/running';
import type { TranslationBundle } from '@jupyterlab/translation';
import { stopIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import { clusterIcon } from './icons.js';
import type { IClusterModel } from './tokens.js';
import { CommandIDs } from './tokens.js';
import { clusterState } from './words.js';

export function runningClusters(
  model: IClusterModel,
  commands: CommandRegistry,
  trans: TranslationBundle
): IRunningSessions.IManager {
  return {
    name: trans.__('Clusters'),
    running: () =>
      model.clusters.list.map(cluster => ({
        icon: () => clusterIcon,
        label: () => cluster.id,
        labelTitle: () => trans.__('Cluster %1', cluster.id),
        detail: () => clusterState(cluster, trans),
        open: () => void commands.execute(CommandIDs.open),
        shutdown: () => void commands.execute(CommandIDs.stop, { cluster: cluster.id })
      })),
    shutdownAll: () => {
      // The list has asked; the command would ask again.
      model.clusters.list.forEach(cluster => void model.stop(cluster.id));
    },
    refreshRunning: () => void model.refresh(),
    runningChanged: model.changed,
    shutdownLabel: trans.__('Stop'),
    shutdownAllLabel: trans.__('Stop All'),
    shutdownAllConfirmationText: trans.__(
      'Stop all clusters? What their engines compute and all their variables will be lost.'
    ),
    shutdownItemIcon: stopIcon
  };
}
