import { LabIcon } from '@jupyterlab/ui-components';

import clusterSvg from '../style/icons/cluster.svg';
import interruptSvg from '../style/icons/interrupt.svg';

export const clusterIcon = new LabIcon({ name: 'px-cluster:cluster', svgstr: clusterSvg });
export const interruptIcon = new LabIcon({ name: 'px-cluster:interrupt', svgstr: interruptSvg });
