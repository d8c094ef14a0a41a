/** Small pieces that the views are made of. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { engineCount } from './state.js';
import type { ClusterState, EngineState, IProblem } from './tokens.js';

/** A button with an icon alone; its label carries the object, "Stop default". */
export function IconButton(props: {
  icon: LabIcon;
  label: string;
  onClick: (event: React.MouseEvent) => void;
  disabled?: boolean;
  expanded?: boolean;
}): React.JSX.Element {
  return (
    <button
      type="button"
      className="px-IconButton"
      aria-label={props.label}
      aria-disabled={props.disabled}
      aria-expanded={props.expanded}
      title={props.label}
      onClick={event => {
        if (!props.disabled) {
          props.onClick(event);
        }
      }}
    >
      <props.icon.react tag="span" className="px-Icon" />
    </button>
  );
}

/** A button with words. Focus stays on it while it is disabled, so it is so for ARIA only. */
export function TextButton(props: {
  children: React.ReactNode;
  onClick: (event: React.MouseEvent) => void;
  label?: string;
  title?: string;
  icon?: LabIcon;
  primary?: boolean;
  /** Looks like a link: for what is seldom wanted. */
  link?: boolean;
  disabled?: boolean;
  innerRef?: React.Ref<HTMLButtonElement>;
}): React.JSX.Element {
  const classes = [
    'px-Button',
    props.primary ? 'px-mod-primary' : '',
    props.link ? 'px-mod-link' : ''
  ];
  return (
    <button
      ref={props.innerRef}
      type="button"
      className={classes.filter(Boolean).join(' ')}
      aria-label={props.label}
      aria-disabled={props.disabled}
      title={props.title}
      onClick={event => {
        if (!props.disabled) {
          props.onClick(event);
        }
      }}
    >
      {props.icon && <props.icon.react tag="span" className="px-Icon" />}
      {props.children}
    </button>
  );
}

/** A number of engines with − and +, and under it what is wrong with it. */
export function CountField(props: {
  id: string;
  label: React.ReactNode;
  name: string;
  value: string;
  onChange: (value: string) => void;
  onEnter: () => void;
  hint?: string;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { trans, value } = props;
  const n = engineCount(value);
  const step = (by: number) => {
    props.onChange(String(Math.min(1024, Math.max(1, (n ?? 0) + by))));
  };
  return (
    <div className="px-Field">
      <label htmlFor={props.id}>{props.label}</label>
      <span className="px-Stepper">
        <button
          type="button"
          tabIndex={-1}
          aria-label={trans.__('Fewer: %1', props.name)}
          onClick={() => {
            step(-1);
          }}
        >
          −
        </button>
        <input
          id={props.id}
          type="number"
          min={1}
          max={1024}
          step={1}
          value={value}
          aria-label={props.name}
          aria-invalid={n === null}
          aria-describedby={n === null ? `${props.id}-wrong` : undefined}
          onChange={event => {
            props.onChange(event.target.value);
          }}
          onKeyDown={event => {
            if (event.key === 'Enter') {
              props.onEnter();
            }
          }}
        />
        <button
          type="button"
          tabIndex={-1}
          aria-label={trans.__('More: %1', props.name)}
          onClick={() => {
            step(1);
          }}
        >
          +
        </button>
      </span>
      {props.hint && <span className="px-Hint">{props.hint}</span>}
      {n === null && (
        <span id={`${props.id}-wrong`} className="px-Wrong">
          {trans.__('A whole number from 1 to 1024, please.')}
        </span>
      )}
    </div>
  );
}

/** What is wrong, why, and what to do about it. */
export function Problem(props: {
  problem: IProblem;
  trans: TranslationBundle;
  onDismiss?: () => void;
  children?: React.ReactNode;
}): React.JSX.Element {
  const { problem, trans } = props;
  const fixes = problem.fix ?? [];
  return (
    <div className="px-Problem" role="alert">
      <StateMark state="failed" />
      <div className="px-Problem-body">
        <p className="px-Problem-message">{problem.message}</p>
        {problem.cause && <pre className="px-Problem-cause">{problem.cause}</pre>}
        {fixes.length > 0 && (
          <>
            <p className="px-Problem-cure">{trans.__('What helps:')}</p>
            <ul>
              {fixes.map(fix => (
                <li key={fix}>{withCode(fix)}</li>
              ))}
            </ul>
          </>
        )}
        {problem.log && (
          <p className="px-Problem-log">
            {trans.__('Log:')} <code>{problem.log}</code>
          </p>
        )}
        <div className="px-Actions">
          {props.children}
          {props.onDismiss && (
            <TextButton onClick={props.onDismiss}>{trans.__('Dismiss')}</TextButton>
          )}
        </div>
      </div>
    </div>
  );
}

/** Text in which `backticks` mark what is to be typed. */
function withCode(text: string): React.ReactNode[] {
  return text
    .split('`')
    .map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : <span key={i}>{part}</span>));
}

type Shape = 'full' | 'half' | 'warn' | 'cross' | 'ring';

const SHAPES: Record<ClusterState | EngineState, Shape> = {
  starting: 'half',
  running: 'full',
  degraded: 'warn',
  stopping: 'ring',
  failed: 'cross',
  spawned: 'half',
  idle: 'ring',
  busy: 'full',
  silent: 'warn',
  leaving: 'ring',
  dead: 'cross'
};

/** A state as a shape with a colour; the word stands beside it, so it says nothing itself. */
export function StateMark(props: { state: ClusterState | EngineState }): React.JSX.Element {
  const shape = SHAPES[props.state];
  return (
    <svg className="px-Mark" data-state={props.state} viewBox="0 0 12 12" aria-hidden="true">
      {shape === 'full' && <circle cx="6" cy="6" r="5" fill="currentColor" />}
      {shape === 'ring' && (
        <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" strokeWidth="2" />
      )}
      {shape === 'half' && (
        <>
          <circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" strokeWidth="1.5" />
          <path d="M6 1.75a4.25 4.25 0 0 1 0 8.5z" fill="currentColor" />
        </>
      )}
      {shape === 'warn' && <path d="M6 .8 11.6 11H.4z" fill="currentColor" />}
      {shape === 'cross' && (
        <path d="m2 2 8 8m0-8-8 8" fill="none" stroke="currentColor" strokeWidth="2.2" />
      )}
    </svg>
  );
}
