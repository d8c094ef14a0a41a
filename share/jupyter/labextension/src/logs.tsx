/** A log in the main area: the controller's or an engine's, its last lines. */
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect, ReactWidget, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ClusterError } from './api.js';
import { Problem, TextButton } from './components.js';
import { clusterIcon } from './icons.js';
import type { IClusterModel, ILog, IProblem } from './tokens.js';

export interface ILogsOptions {
  model: IClusterModel;
  cluster: string;
  engine?: number;
  trans: TranslationBundle;
}

/** The widget of one cluster's logs. */
export function createLogs(options: ILogsOptions): MainAreaWidget<ReactWidget> {
  const content = ReactWidget.create(<Logs {...options} />);
  const widget = new MainAreaWidget({ content });
  widget.id = logsId(options.cluster);
  widget.title.label = options.trans.__('Log of %1', options.cluster);
  widget.title.icon = clusterIcon;
  widget.title.closable = true;
  content.addClass('px-Logs');
  return widget;
}

export function logsId(cluster: string): string {
  return `px-cluster-logs-${cluster}`;
}

function Logs(props: ILogsOptions): React.JSX.Element {
  const { model, cluster, trans } = props;
  const [source, setSource] = React.useState(props.engine);
  const [log, setLog] = React.useState<ILog | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [engines, setEngines] = React.useState<number[]>([]);
  const text = React.useRef<HTMLPreElement>(null);

  const load = React.useCallback(async () => {
    try {
      setLog(await model.log(cluster, source));
      setProblem(null);
    } catch (error) {
      if (!(error instanceof ClusterError)) {
        throw error;
      }
      setProblem(error.problem);
    }
  }, [model, cluster, source]);

  React.useEffect(() => {
    const look = () => {
      const row = model.clusters.list.find(c => c.id === cluster);
      if (row) {
        setEngines((row.engines ?? []).map(e => e.id));
      }
    };
    look();
    model.changed.connect(look);
    return () => {
      model.changed.disconnect(look);
    };
  }, [model, cluster]);
  React.useEffect(() => {
    void load();
  }, [load]);
  React.useEffect(() => {
    text.current?.scrollTo({ top: text.current.scrollHeight });
  }, [log]);

  const choices =
    source !== undefined && !engines.includes(source) ? [...engines, source] : engines;
  return (
    <div className="px-Logs-body">
      <div className="px-Logs-bar">
        <HTMLSelect
          aria-label={trans.__('Whose log')}
          value={source === undefined ? '' : String(source)}
          onChange={event => {
            setSource(event.target.value === '' ? undefined : Number(event.target.value));
          }}
        >
          <option value="">{trans.__('Controller')}</option>
          {choices.map(id => (
            <option key={id} value={id}>
              {trans.__('Engine %1', id)}
            </option>
          ))}
        </HTMLSelect>
        <TextButton
          icon={refreshIcon}
          onClick={() => {
            void load();
          }}
        >
          {trans.__('Refresh')}
        </TextButton>
        {log?.log && <code>{log.log}</code>}
      </div>
      {problem && <Problem problem={problem} trans={trans} />}
      <pre ref={text} tabIndex={0} aria-label={trans.__('Log of %1', cluster)}>
        {log?.text === '' ? trans.__('Nothing has been logged.') : log?.text}
      </pre>
    </div>
  );
}
