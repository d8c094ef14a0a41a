/** The user's settings, or their defaults where there is no registry to ask. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IClusterSettings } from './tokens.js';

export class ClusterSettings implements IClusterSettings {
  defaultEngines = 0;
  confirmStop: IClusterSettings['confirmStop'] = 'busy';
  statusBar = true;
  notify = true;

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  /** Follow what the registry says from now on. The schema has checked every value. */
  follow(settings: ISettingRegistry.ISettings): void {
    const read = () => {
      const values = settings.composite;
      this.defaultEngines = values.defaultEngines as number;
      this.confirmStop = values.confirmStop as IClusterSettings['confirmStop'];
      this.statusBar = values.statusBar as boolean;
      this.notify = values.notify as boolean;
      this.changedSignal.emit();
    };
    settings.changed.connect(read);
    read();
  }

  private readonly changedSignal = new Signal<this, void>(this);
}
