/**
 * The plugins. Each can be switched off alone; only the model is needed by the others, so the
 * panel also shows where there is no JupyterLab shell, palette or status bar.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';

import { Api } from './api.js';
import { addCommands } from './commands.js';
import { ClusterModel } from './model.js';
import { ClusterPanel } from './panel.js';
import { runningClusters } from './running.js';
import { ClusterSettings } from './settings.js';
import { newlyDead } from './state.js';
import { StatusItem } from './status.js';
import { CommandIDs, IClusterModel, IClusterSettings, PANEL_ID } from './tokens.js';
import { engineEnd } from './words.js';

export * from './tokens.js';

function load(translator: ITranslator | null): TranslationBundle {
  return (translator ?? nullTranslator).load('px_cluster');
}

const settings: JupyterFrontEndPlugin<IClusterSettings> = {
  id: 'px-cluster:plugin',
  description: 'The settings of the Cluster tab.',
  autoStart: true,
  provides: IClusterSettings,
  optional: [ISettingRegistry],
  activate: async (_, registry: ISettingRegistry | null) => {
    const values = new ClusterSettings();
    if (registry) {
      try {
        values.follow(await registry.load(settings.id));
      } catch (error) {
        console.warn('px-cluster: the settings could not be read; the defaults are used.', error);
      }
    }
    return values;
  }
};

const model: JupyterFrontEndPlugin<IClusterModel> = {
  id: 'px-cluster:model',
  description: 'The clusters of this machine, kept up to date.',
  autoStart: true,
  provides: IClusterModel,
  optional: [ITranslator],
  activate: (app, translator: ITranslator | null) =>
    new ClusterModel(new Api(app.serviceManager.serverSettings, load(translator)))
};

/** The folder of the notebook in view, else the one that the file browser shows. */
const folder: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:folder',
  description: 'Engines work in the folder that is in view.',
  autoStart: true,
  requires: [IClusterModel],
  optional: [INotebookTracker, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    notebooks: INotebookTracker | null,
    browser: IDefaultFileBrowser | null
  ) => {
    const contents = app.serviceManager.contents;
    clusters.folder = () => {
      const notebook = notebooks?.currentWidget;
      const path = notebook?.isVisible
        ? PathExt.dirname(contents.localPath(notebook.context.path))
        : browser && contents.localPath(browser.model.path);
      return path ?? undefined;
    };
  }
};

const commands: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:commands',
  description: 'Commands that start, stop and use clusters; palette and launcher.',
  autoStart: true,
  requires: [IClusterModel, IClusterSettings],
  optional: [INotebookTracker, ICommandPalette, ILauncher, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    values: IClusterSettings,
    notebooks: INotebookTracker | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    translator: ITranslator | null
  ) => {
    const trans = load(translator);
    addCommands({ app, model: clusters, settings: values, notebooks, trans });
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: trans.__('Cluster') });
    }
    launcher?.add({
      command: CommandIDs.open,
      args: { isLauncher: true },
      category: trans.__('Other'),
      rank: 50
    });
    clusters.changed.connect(() => {
      app.commands.notifyCommandChanged();
    });
  }
};

const panel: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:panel',
  description: 'The Cluster tab in the left side bar.',
  autoStart: true,
  requires: [IClusterModel, IClusterSettings],
  optional: [ILayoutRestorer, ILabShell, IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    values: IClusterSettings,
    restorer: ILayoutRestorer | null,
    _shell: ILabShell | null,
    state: IStateDB | null,
    translator: ITranslator | null
  ) => {
    const widget = new ClusterPanel({
      model: clusters,
      settings: values,
      commands: app.commands,
      state,
      trans: load(translator)
    });
    restorer?.add(widget, PANEL_ID);
    app.shell.add(widget, 'left', { rank: 250, type: 'Cluster' });
  }
};

const status: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:status',
  description: 'The number of engines in the status bar.',
  autoStart: true,
  requires: [IClusterModel, IClusterSettings],
  optional: [IStatusBar, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    values: IClusterSettings,
    bar: IStatusBar | null,
    translator: ITranslator | null
  ) => {
    if (!bar) {
      return;
    }
    const trans = load(translator);
    let shown: IDisposable | null = null;
    const update = () => {
      const wanted = values.statusBar && clusters.clusters.list.length > 0;
      if (wanted && !shown) {
        const item = new StatusItem(clusters, app.commands, trans);
        shown = bar.registerStatusItem('px-cluster:status', { item, align: 'left', rank: 20 });
      } else if (!wanted && shown) {
        shown.dispose();
        shown = null;
      }
    };
    clusters.changed.connect(update);
    values.changed.connect(update);
    update();
  }
};

const running: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:running',
  description: 'Clusters among the running kernels and terminals.',
  autoStart: true,
  requires: [IClusterModel],
  optional: [IRunningSessionManagers, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    managers: IRunningSessionManagers | null,
    translator: ITranslator | null
  ) => {
    managers?.add(runningClusters(clusters, app.commands, load(translator)));
  }
};

const notify: JupyterFrontEndPlugin<void> = {
  id: 'px-cluster:notify',
  description: 'Notifications of engines that died and clusters that failed.',
  autoStart: true,
  requires: [IClusterModel, IClusterSettings],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    clusters: IClusterModel,
    values: IClusterSettings,
    translator: ITranslator | null
  ) => {
    const trans = load(translator);
    const show = {
      label: trans.__('Show'),
      callback: () => void app.commands.execute(CommandIDs.open)
    };
    clusters.moved.connect((_, { before, after }) => {
      if (!values.notify) {
        return;
      }
      for (const cluster of after.list) {
        const old = before.list.find(c => c.id === cluster.id);
        for (const engine of newlyDead(old, cluster)) {
          const end = engineEnd(engine, trans);
          Notification.warning(
            trans.__('Engine %1 of cluster %2 is dead: %3.', engine.id, cluster.id, end),
            { autoClose: 10000, actions: [show] }
          );
        }
        if (cluster.state === 'failed' && old && old.state !== 'failed') {
          Notification.error(
            trans.__('Cluster %1 failed: %2', cluster.id, cluster.error?.message ?? ''),
            { autoClose: false, actions: [show] }
          );
        }
      }
    });
  }
};

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  settings,
  model,
  folder,
  commands,
  panel,
  status,
  running,
  notify
];

export default plugins;
