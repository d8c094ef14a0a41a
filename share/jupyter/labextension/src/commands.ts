/**
 * The commands: for the palette, the panel's buttons and the engines' menus alike.
 * A command that needs a cluster takes it from its arguments, else there is only one, else it asks.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, MainAreaWidget, showDialog } from '@jupyterlab/apputils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addAboveIcon, listIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { clusterIcon, interruptIcon } from './icons.js';
import { createLogs, logsId } from './logs.js';
import { connectCode, insertCode } from './snippet.js';
import { busyEngines, freeName, usualCount } from './state.js';
import type { ICluster, IClusterModel, IClusterSettings } from './tokens.js';
import { CommandIDs, PANEL_ID } from './tokens.js';

const KERNEL = 'pxkernel';

export interface ICommandOptions {
  app: JupyterFrontEnd;
  model: IClusterModel;
  settings: IClusterSettings;
  notebooks: INotebookTracker | null;
  trans: TranslationBundle;
}

const CLUSTER_ARG = {
  type: 'object',
  properties: {
    cluster: { type: 'string', description: 'Name of the cluster' },
    engine: { type: 'integer', description: 'One engine of it; all of them if left out' }
  }
} as const;

export function addCommands(options: ICommandOptions): void {
  const { app, trans } = options;
  app.commands.addCommand(CommandIDs.open, {
    label: args => (args.isLauncher ? trans.__('Cluster') : trans.__('Show Clusters')),
    caption: trans.__('Open the Cluster tab'),
    icon: clusterIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: { isLauncher: { type: 'boolean', description: 'Asked for by the launcher' } }
      }
    },
    execute: async () => {
      // The palette gives the focus back as soon as a command has begun; the panel takes it then.
      await Promise.resolve();
      app.shell.activateById(PANEL_ID);
    }
  });
  addLifeCommands(options);
  addEngineCommands(options);
  addUseCommand(options);
  addLogsCommand(options);
}

/** Start, stop, scale. */
function addLifeCommands({ app, model, settings, trans }: ICommandOptions): void {
  const { commands } = app;
  const any = () => model.clusters.list.length > 0;
  commands.addCommand(CommandIDs.start, {
    label: trans.__('Start Engines…'),
    caption: trans.__('Start a cluster of parallel engines'),
    icon: runIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          n: { type: 'integer', description: 'How many engines; asked for if left out' },
          cluster: { type: 'string', description: 'Name of the cluster' }
        }
      }
    },
    execute: async args => {
      const usual = usualCount(settings.defaultEngines, model.clusters.host);
      const n =
        typeof args.n === 'number'
          ? args.n
          : await askCount(trans.__('Start Engines'), usual, trans.__('Start'), trans);
      if (n !== null) {
        const name =
          typeof args.cluster === 'string' ? args.cluster : freeName(model.clusters.list);
        app.shell.activateById(PANEL_ID);
        await model.start(n, name === 'default' ? undefined : name);
      }
    }
  });
  commands.addCommand(CommandIDs.stop, {
    label: trans.__('Stop Cluster'),
    caption: trans.__('End the engines of a cluster'),
    icon: stopIcon,
    isEnabled: any,
    describedBy: { args: CLUSTER_ARG },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (cluster && (await mayStop([cluster], settings, trans))) {
        await model.stop(cluster.id);
      }
    }
  });
  commands.addCommand(CommandIDs.stopAll, {
    label: trans.__('Stop All Clusters'),
    caption: trans.__('End every engine of every cluster on this machine'),
    icon: stopIcon,
    isEnabled: any,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: async () => {
      const all = model.clusters.list;
      if (await mayStop(all, settings, trans)) {
        await Promise.all(all.map(cluster => model.stop(cluster.id)));
      }
    }
  });
  commands.addCommand(CommandIDs.scale, {
    label: trans.__('Scale Cluster…'),
    caption: trans.__('Change the number of engines'),
    isEnabled: any,
    describedBy: { args: CLUSTER_ARG },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (!cluster) {
        return;
      }
      const title = trans.__('Scale %1', cluster.id);
      const n = await askCount(title, cluster.n, trans.__('Scale'), trans);
      if (n !== null && n !== cluster.n) {
        await model.scale(cluster.id, n);
      }
    }
  });
}

/** What is done to one engine or to all. */
function addEngineCommands({ app, model, trans }: ICommandOptions): void {
  const any = () => model.clusters.list.length > 0;
  app.commands.addCommand(CommandIDs.interrupt, {
    label: args =>
      typeof args.engine === 'number'
        ? trans.__('Interrupt Engine %1', args.engine)
        : trans.__('Interrupt Engines'),
    caption: trans.__('Interrupt what the engines compute'),
    icon: interruptIcon,
    isEnabled: any,
    describedBy: { args: CLUSTER_ARG },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (cluster) {
        await model.interrupt(cluster.id, enginesOf(args));
      }
    }
  });
  app.commands.addCommand(CommandIDs.restart, {
    label: args =>
      typeof args.engine === 'number'
        ? trans.__('Restart Engine %1', args.engine)
        : trans.__('Restart Engines'),
    caption: trans.__('Replace engines by fresh ones; their variables are lost'),
    icon: refreshIcon,
    isEnabled: any,
    describedBy: { args: CLUSTER_ARG },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (cluster) {
        await model.restart(cluster.id, enginesOf(args));
      }
    }
  });
}

function addUseCommand({ app, model, notebooks, trans }: ICommandOptions): void {
  app.commands.addCommand(CommandIDs.use, {
    label: trans.__('Use in This Notebook'),
    caption: trans.__('Insert a cell that connects to a cluster'),
    icon: addAboveIcon,
    isEnabled: () => model.clusters.list.length > 0,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          cluster: { type: 'string', description: 'Name of the cluster' },
          run: { type: 'boolean', description: 'Run the cell as well' }
        }
      }
    },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (!cluster) {
        return;
      }
      const panel =
        notebooks?.currentWidget ??
        ((await app.commands.execute('notebook:create-new', {
          kernelName: KERNEL
        })) as NotebookPanel);
      app.shell.activateById(panel.id);
      await insertCode(panel, connectCode(cluster.id), args.run === true);
    }
  });
}

function addLogsCommand({ app, model, trans }: ICommandOptions): void {
  const open = new Map<string, MainAreaWidget>();
  app.commands.addCommand(CommandIDs.logs, {
    label: args =>
      typeof args.engine === 'number'
        ? trans.__('Log of Engine %1', args.engine)
        : trans.__('Show Cluster Log'),
    caption: trans.__('Show what the controller and the engines logged'),
    icon: listIcon,
    isEnabled: () => model.clusters.list.length > 0,
    describedBy: { args: CLUSTER_ARG },
    execute: async args => {
      const cluster = await choose(args, model, trans);
      if (!cluster) {
        return;
      }
      const id = logsId(cluster.id);
      open.get(id)?.dispose();
      const [engine] = enginesOf(args) ?? [];
      const widget = createLogs({ model, cluster: cluster.id, engine, trans });
      open.set(id, widget);
      widget.disposed.connect(() => open.delete(id));
      app.shell.add(widget, 'main', { mode: 'split-bottom' });
      app.shell.activateById(id);
    }
  });
}

function enginesOf(args: ReadonlyPartialJSONObject): number[] | undefined {
  return typeof args.engine === 'number' ? [args.engine] : undefined;
}

/** The cluster meant: named, or the only one, or the one picked from a list. */
async function choose(
  args: ReadonlyPartialJSONObject,
  model: IClusterModel,
  trans: TranslationBundle
): Promise<ICluster | undefined> {
  const { list } = model.clusters;
  if (typeof args.cluster === 'string') {
    return list.find(c => c.id === args.cluster);
  }
  if (list.length < 2) {
    return list[0];
  }
  const picked = await InputDialog.getItem({
    title: trans.__('Which cluster?'),
    items: list.map(c => c.id)
  });
  return list.find(c => c.id === picked.value);
}

async function askCount(
  title: string,
  usual: number,
  verb: string,
  trans: TranslationBundle
): Promise<number | null> {
  const answer = await InputDialog.getNumber({
    title,
    label: trans.__('Number of engines'),
    value: usual,
    okLabel: verb
  });
  const n = answer.value;
  return answer.button.accept && n !== null && Number.isInteger(n) && n >= 1 ? n : null;
}

/** Ask before work is lost; as often as the user wants to be asked. */
async function mayStop(
  clusters: readonly ICluster[],
  settings: IClusterSettings,
  trans: TranslationBundle
): Promise<boolean> {
  const busy = clusters.reduce((sum, c) => sum + busyEngines(c), 0);
  if (settings.confirmStop === 'never' || (settings.confirmStop === 'busy' && busy === 0)) {
    return true;
  }
  const names = clusters.map(c => c.id).join(', ');
  const answer = await showDialog({
    title: trans.__('Stop %1?', names),
    body: busy
      ? trans._n(
          '%1 engine is at work. What it computes and all its variables will be lost.',
          '%1 engines are at work. What they compute and all their variables will be lost.',
          busy
        )
      : trans.__('The variables on its engines will be lost.'),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Keep It Running') }),
      Dialog.warnButton({ label: trans.__('Stop') })
    ]
  });
  return answer.button.accept;
}
