/** The panel of the left side bar. One React root for its whole life; rows are keyed by name. */
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  closeIcon,
  MenuSvg,
  ReactWidget,
  refreshIcon,
  UseSignal
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { IconButton, Problem, TextButton } from './components.js';
import { StartForm } from './form.js';
import { clusterIcon } from './icons.js';
import { ClusterRow } from './row.js';
import type { IClusterModel, IClusterSettings, IEngine } from './tokens.js';
import { CommandIDs, NEW, PANEL_ID } from './tokens.js';
import { news } from './words.js';

export interface IPanelOptions {
  model: IClusterModel;
  settings: IClusterSettings;
  commands: CommandRegistry;
  /** Remembers the number of engines; without it nothing is remembered. */
  state: IStateDB | null;
  trans: TranslationBundle;
}

export class ClusterPanel extends ReactWidget {
  constructor(private readonly options: IPanelOptions) {
    super();
    const { trans } = options;
    this.id = PANEL_ID;
    this.addClass('px-Panel');
    this.title.icon = clusterIcon;
    this.title.caption = trans.__('Cluster');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Cluster'));
  }

  /** A click on the side bar's icon, or the command: to where the next key is wanted. */
  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    this.activated.emit();
  }

  protected render(): React.JSX.Element {
    const { model, settings, trans } = this.options;
    return (
      <UseSignal signal={model.changed}>
        {() => (
          <UseSignal signal={settings.changed}>
            {() => <PanelBody {...this.options} activated={this.activated} trans={trans} />}
          </UseSignal>
        )}
      </UseSignal>
    );
  }

  private readonly activated = new Signal<this, void>(this);
}

function PanelBody(
  props: IPanelOptions & { activated: Signal<ClusterPanel, void> }
): React.JSX.Element {
  const { model, trans } = props;
  const { known, list, trouble } = model.clusters;
  const [adding, setAdding] = React.useState(false);
  const [opened, setOpened] = React.useState<Record<string, boolean>>({});
  const root = React.useRef<HTMLDivElement>(null);
  const startButton = React.useRef<HTMLButtonElement>(null);
  const now = useMinutes();
  const form = list.length === 0 || adding || model.problems.has(NEW);
  useFocusKeeping(root, [...list.map(c => c.id), form].join(' '), props.activated);

  const openMenu = (cluster: string, engine: IEngine, at: HTMLElement) => {
    engineMenu(props, cluster, engine, at);
  };
  return (
    <div ref={root} className="px-Body">
      <header className="px-Header">
        <h2>{trans.__('Clusters')}</h2>
        {list.length > 0 && (
          <IconButton
            icon={adding ? closeIcon : addIcon}
            label={adding ? trans.__('Do not start another') : trans.__('Start another cluster')}
            expanded={adding}
            onClick={() => {
              setAdding(!adding);
            }}
          />
        )}
        <IconButton
          icon={refreshIcon}
          label={trans.__('Refresh the list of clusters')}
          onClick={() => {
            void model.refresh();
          }}
        />
      </header>
      <Announcer model={model} trans={trans} />
      <div className="px-Scroll">
        {trouble && (
          <Problem problem={trouble} trans={trans}>
            <TextButton
              onClick={() => {
                void model.refresh();
              }}
            >
              {trans.__('Try again')}
            </TextButton>
          </Problem>
        )}
        {known && !trouble && list.length === 0 && <Welcome trans={trans} />}
        {form && !trouble && (
          <StartForm
            {...props}
            startRef={startButton}
            onStarted={id => {
              setAdding(false);
              setOpened(old => ({ ...old, [id]: true }));
            }}
          />
        )}
        <ul className="px-List" aria-label={trans.__('Clusters')}>
          {list.map(cluster => (
            <ClusterRow
              key={cluster.id}
              {...props}
              cluster={cluster}
              now={now}
              open={opened[cluster.id] ?? list.length === 1}
              setOpen={open => {
                setOpened(old => ({ ...old, [cluster.id]: open }));
              }}
              openMenu={openMenu}
            />
          ))}
        </ul>
      </div>
    </div>
  );
}

function Welcome(props: { trans: TranslationBundle }): React.JSX.Element {
  const { trans } = props;
  return (
    <div className="px-Welcome">
      <p>
        <strong>{trans.__('No cluster is running.')}</strong>
      </p>
      <p>
        {trans.__('Engines are Pythons that run your code in parallel. In a notebook,')}{' '}
        <code>%px</code> {trans.__('sends a line to all of them.')}
      </p>
    </div>
  );
}

/** Says each change once, for who listens instead of looking. */
function Announcer(props: { model: IClusterModel; trans: TranslationBundle }): React.JSX.Element {
  const { model, trans } = props;
  const [said, setSaid] = React.useState('');
  React.useEffect(() => {
    const listen = (_: IClusterModel, { before, after }: Parameters<Moved>[1]) => {
      const told = news(before, after, trans);
      if (told.length > 0) {
        setSaid(told.join(' '));
      }
    };
    model.moved.connect(listen);
    return () => {
      model.moved.disconnect(listen);
    };
  }, [model, trans]);
  return (
    <div className="px-Hidden" role="status" aria-live="polite">
      {said}
    </div>
  );
}

type Moved = Parameters<IClusterModel['moved']['connect']>[0];

/** The time, told anew every half minute. */
function useMinutes(): number {
  const [now, setNow] = React.useState(Date.now());
  React.useEffect(() => {
    const timer = window.setInterval(() => {
      setNow(Date.now());
    }, 30000);
    return () => {
      window.clearInterval(timer);
    };
  }, []);
  return now;
}

/**
 * Focus never falls out of the panel: where what had it goes away, the next cluster gets it, or
 * what starts one.
 */
function useFocusKeeping(
  root: React.RefObject<HTMLDivElement>,
  rows: string,
  activated: Signal<ClusterPanel, void>
): void {
  const last = React.useRef<{ row: number; element: Element } | null>(null);
  React.useEffect(() => {
    const node = root.current;
    if (!node) {
      return;
    }
    const titles = () => [...node.querySelectorAll<HTMLElement>('.px-Cluster-title')];
    const home = () => node.querySelector<HTMLElement>('.px-Form .px-mod-primary');
    const enter = (event: FocusEvent) => {
      const element = event.target as Element;
      const row = element.closest('.px-Cluster');
      const all = [...node.querySelectorAll('.px-Cluster')];
      last.current = { row: row ? all.indexOf(row) : 0, element };
    };
    const leave = (event: FocusEvent) => {
      if (event.relatedTarget) {
        last.current = null;
      }
    };
    const activate = () => {
      (home() ?? titles().at(0) ?? node.querySelector('button'))?.focus();
    };
    const gone = last.current && !last.current.element.isConnected;
    if (last.current && gone && document.activeElement === document.body) {
      const left = titles();
      (left.at(Math.min(last.current.row, left.length - 1)) ?? home())?.focus();
    }
    node.addEventListener('focusin', enter);
    node.addEventListener('focusout', leave);
    activated.connect(activate);
    return () => {
      node.removeEventListener('focusin', enter);
      node.removeEventListener('focusout', leave);
      activated.disconnect(activate);
    };
  }, [root, rows, activated]);
}

/** The menu of one engine, under the button or the row that asked for it. */
function engineMenu(
  options: IPanelOptions,
  cluster: string,
  engine: IEngine,
  at: HTMLElement
): void {
  const { commands } = options;
  const menu = new MenuSvg({ commands });
  const args = { cluster, engine: engine.id };
  for (const command of [CommandIDs.interrupt, CommandIDs.restart, CommandIDs.logs]) {
    menu.addItem({ command, args });
  }
  const { left, bottom } = at.getBoundingClientRect();
  menu.open(left, bottom);
}
