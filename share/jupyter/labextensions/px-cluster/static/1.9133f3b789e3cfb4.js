"use strict";(self.rspackChunkpx_cluster=self.rspackChunkpx_cluster||[]).push([[1],{27(e,r,t){var o=t(28),a=t.n(o),n=t(29),p=(t.n(n))()(a());p.push([e.id,`/* Colours come from the theme's variables (but for the white on accept buttons, as on those of
   JupyterLab's dialogs). Text is font-color0/1 on layout-color1; the colours of states are on marks
   and bars, never on words. */

.px-Panel {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
  min-width: 220px !important;
}

.px-Body {
  display: flex;
  flex-direction: column;
  height: 100%;
}

.px-Scroll {
  flex: 1 1 auto;
  overflow: hidden auto;
  padding-bottom: 12px;
}

.px-Hidden {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: -1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

/* Header */

.px-Header {
  display: flex;
  flex: 0 0 auto;
  align-items: center;
  height: 32px;
  padding: 0 6px 0 12px;
  border-bottom: var(--jp-border-width) solid var(--jp-border-color2);
}

.px-Header h2 {
  flex: 1;
  margin: 0;
  font-size: var(--jp-ui-font-size0);
  font-weight: 600;
  letter-spacing: 1px;
  text-transform: uppercase;
}

/* Buttons */

.px-IconButton,
.px-Cluster-title,
.px-Status-button,
.px-Stepper button {
  margin: 0;
  padding: 0;
  border: none;
  background: none;
  color: inherit;
  font: inherit;
  cursor: pointer;
}

.px-IconButton {
  display: inline-flex;
  flex: 0 0 auto;
  align-items: center;
  justify-content: center;
  width: 24px;
  height: 24px;
  border-radius: var(--jp-border-radius);
}

.px-IconButton:hover,
.px-Stepper button:hover {
  background: var(--jp-layout-color2);
}

.px-Icon {
  display: inline-flex;
}

.px-Icon svg {
  width: 16px;
  height: 16px;
}

.px-Button {
  display: inline-flex;
  align-items: center;
  gap: 4px;
  height: 26px;
  margin: 0;
  padding: 0 8px;
  border: var(--jp-border-width) solid var(--jp-border-color1);
  border-radius: var(--jp-border-radius);
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font: inherit;
  white-space: nowrap;
  cursor: pointer;
}

.px-Button:hover {
  background: var(--jp-layout-color2);
}

.px-Button .px-Icon svg {
  width: 14px;
  height: 14px;
}

.px-Button.px-mod-primary {
  height: 28px;
  padding: 0 12px 0 8px;
  border-color: transparent;
  background: var(--jp-accept-color-normal, var(--jp-brand-color1));
  color: #fff;
  font-weight: 600;
}

.px-Button.px-mod-primary:hover {
  background: var(--jp-accept-color-hover, var(--jp-brand-color0));
}

.px-Button.px-mod-primary .px-Icon .jp-icon3 {
  fill: #fff;
}

.px-Panel [aria-disabled='true'] {
  cursor: default;
  opacity: 0.55;
}

.px-Panel :is(button, input):focus-visible,
.px-Logs :is(button, pre):focus-visible,
.px-Status-button:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -1px;
}

.px-Panel .px-mod-primary:focus-visible {
  outline-offset: 2px;
}

.px-Button.px-mod-link {
  padding: 0 6px;
  border-color: transparent;
  background: none;
}

.px-Button.px-mod-link:hover {
  text-decoration: underline;
}

.px-Actions {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 4px;
}

/* Start */

.px-Welcome {
  padding: 12px 12px 0;
  line-height: 1.5;
}

.px-Welcome p {
  margin: 0 0 6px;
}

.px-Panel code {
  padding: 1px 3px;
  border-radius: var(--jp-border-radius);
  background: var(--jp-layout-color2);
  color: inherit;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
}

.px-Form {
  display: flex;
  flex-direction: column;
  gap: 10px;
  padding: 12px;
}

.px-List:not(:empty) {
  border-top: none;
}

.px-Form:has(+ .px-List > li) {
  border-bottom: var(--jp-border-width) solid var(--jp-border-color2);
}

.px-Field {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 4px 8px;
}

.px-Form .px-Field > label {
  flex: 0 0 50px;
}

.px-Stepper,
.px-Text {
  height: 26px;
  box-sizing: border-box;
  border: var(--jp-border-width) solid var(--jp-border-color1);
  border-radius: var(--jp-border-radius);
  background: var(--jp-input-background, var(--jp-layout-color1));
  color: var(--jp-ui-font-color0);
  font: inherit;
}

.px-Text {
  flex: 1 1 100px;
  min-width: 60px;
  padding: 0 8px;
}

.px-Stepper {
  display: inline-flex;
  align-items: stretch;
}

.px-Stepper button {
  width: 22px;
  font-size: var(--jp-ui-font-size2);
  line-height: 1;
}

.px-Stepper input {
  width: 38px;
  padding: 0;
  border: none;
  border-left: var(--jp-border-width) solid var(--jp-border-color2);
  border-right: var(--jp-border-width) solid var(--jp-border-color2);
  background: none;
  color: inherit;
  font: inherit;
  text-align: center;
  appearance: textfield;
}

.px-Stepper input::-webkit-inner-spin-button,
.px-Stepper input::-webkit-outer-spin-button {
  appearance: none;
  margin: 0;
}

.px-Stepper:has([aria-invalid='true']),
.px-Text[aria-invalid='true'] {
  border-color: var(--jp-error-color1);
}

.px-Wrong {
  flex: 1 0 100%;
}

.px-Check {
  display: flex;
  align-items: center;
  gap: 6px;
}

/* Clusters */

.px-List {
  margin: 0;
  padding: 0;
  list-style: none;
}

.px-Cluster {
  border-bottom: var(--jp-border-width) solid var(--jp-border-color2);
}

.px-Cluster-head {
  display: flex;
  align-items: center;
  height: 32px;
  padding-right: 6px;
}

.px-Cluster-head:hover {
  background: var(--jp-layout-color2);
}

.px-Cluster-title {
  display: flex;
  flex: 1 1 auto;
  align-items: center;
  gap: 6px;
  min-width: 0;
  height: 100%;
  padding: 0 6px;
  text-align: left;
}

.px-Cluster-name {
  flex: 1 1 auto;
  overflow: hidden;
  color: var(--jp-ui-font-color0);
  font-weight: 600;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.px-Cluster-state {
  flex: 0 0 auto;
  font-variant-numeric: tabular-nums;
}

.px-Details:not([hidden]) {
  display: flex;
  flex-direction: column;
  gap: 8px;
  padding: 2px 12px 12px;
}

.px-Details > .px-Button {
  align-self: flex-start;
}

.px-Facts {
  margin: 0;
  color: var(--jp-ui-font-color1);
}

.px-Scale {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px;
}

.px-Scale .px-Button {
  height: 26px;
}

/* States */

.px-Mark {
  flex: 0 0 auto;
  width: 12px;
  height: 12px;
  color: var(--jp-ui-font-color2);
}

.px-Mark:is([data-state='running'], [data-state='busy']) {
  color: var(--jp-success-color1);
}

.px-Mark:is([data-state='starting'], [data-state='spawned']) {
  color: var(--jp-info-color1);
}

.px-Mark:is([data-state='degraded'], [data-state='silent']) {
  color: var(--jp-warn-color1);
}

.px-Mark:is([data-state='failed'], [data-state='dead']) {
  color: var(--jp-error-color1);
}

.px-Progress {
  height: 4px;
  margin: 0 12px 6px;
  overflow: hidden;
  border-radius: 2px;
  background: var(--jp-layout-color3);
}

.px-Progress > div {
  height: 100%;
  border-radius: 2px;
  background: var(--jp-brand-color1);
  transition: width 200ms ease-out;
}

@media (prefers-reduced-motion: reduce) {
  .px-Progress > div {
    transition: none;
  }
}

/* Engines */

.px-Engines {
  width: 100%;
  border-collapse: collapse;
  font-size: calc(var(--jp-ui-font-size1) - 1px);
  font-variant-numeric: tabular-nums;
}

.px-Engines th,
.px-Engines td {
  height: 24px;
  padding: 0 3px;
  text-align: right;
  vertical-align: middle;
  white-space: nowrap;
}

.px-Engines thead th {
  border-bottom: var(--jp-border-width) solid var(--jp-border-color2);
  font-weight: 400;
}

.px-Engines tbody tr:hover {
  background: var(--jp-layout-color2);
}

.px-Engines th:first-child {
  padding-left: 0;
  font-weight: 600;
  text-align: left;
}

.px-Engines :is(th, td):nth-child(2) {
  text-align: left;
}

.px-Engines :is(th, td):nth-child(6) {
  width: 24px;
  padding: 0;
}

.px-Engines-end td {
  height: auto;
  padding-bottom: 4px;
  white-space: normal;
}

.px-Engines-end .px-Button {
  height: 22px;
  margin-top: 2px;
  padding: 0 6px;
  font-size: inherit;
}

.px-State {
  display: flex;
  align-items: center;
  gap: 5px;
}

.px-State .px-Mark {
  width: 10px;
  height: 10px;
}

/* What is wrong */

.px-Problem {
  display: flex;
  gap: 8px;
  margin: 8px 12px;
  padding: 8px 10px;
  border: var(--jp-border-width) solid var(--jp-border-color2);
  border-left: 3px solid var(--jp-error-color1);
  border-radius: var(--jp-border-radius);
  line-height: 1.4;
}

.px-Form .px-Problem {
  margin: 0;
}

.px-Problem > .px-Mark {
  margin-top: 3px;
}

.px-Problem-body {
  flex: 1 1 auto;
  min-width: 0;
  overflow-wrap: anywhere;
}

.px-Problem p,
.px-Problem ul {
  margin: 0 0 4px;
}

.px-Problem ul {
  padding-left: 16px;
}

.px-Problem-message::first-letter {
  text-transform: uppercase;
}

.px-Problem-message {
  color: var(--jp-ui-font-color0);
  font-weight: 600;
}

.px-Problem-cause {
  max-height: 160px;
  margin: 0 0 6px;
  padding: 4px 6px;
  overflow: auto;
  background: var(--jp-layout-color2);
  color: var(--jp-ui-font-color1);
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-ui-font-size0);
  white-space: pre-wrap;
}

.px-Problem .px-Actions:not(:empty) {
  margin-top: 8px;
}

/* Logs */

.px-Logs-body {
  display: flex;
  flex-direction: column;
  height: 100%;
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.px-Logs-bar {
  display: flex;
  flex: 0 0 auto;
  align-items: center;
  gap: 8px;
  padding: 6px 8px;
  border-bottom: var(--jp-border-width) solid var(--jp-border-color2);
  background: var(--jp-layout-color1);
}

.px-Logs-bar .jp-select-wrapper {
  margin: 0;
}

.px-Logs pre {
  flex: 1 1 auto;
  margin: 0;
  padding: 8px;
  overflow: auto;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  line-height: var(--jp-code-line-height);
  white-space: pre-wrap;
}

/* Status bar */

.px-Status-button {
  display: inline-flex;
  align-items: center;
  gap: 4px;
  height: 100%;
  padding: 0 4px;
}
`,""]),t.d(r,{},{A:p})},29(e){e.exports=function(e){var r=[];return r.toString=function(){return this.map(function(r){var t="",o=void 0!==r[5];return r[4]&&(t+="@supports (".concat(r[4],") {")),r[2]&&(t+="@media ".concat(r[2]," {")),o&&(t+="@layer".concat(r[5].length>0?" ".concat(r[5]):""," {")),t+=e(r),o&&(t+="}"),r[2]&&(t+="}"),r[4]&&(t+="}"),t}).join("")},r.i=function(e,t,o,a,n){"string"==typeof e&&(e=[[null,e,void 0]]);var p={};if(o)for(var i=0;i<this.length;i++){var l=this[i][0];null!=l&&(p[l]=!0)}for(var d=0;d<e.length;d++){var s=[].concat(e[d]);o&&p[s[0]]||(void 0!==n&&(void 0===s[5]||(s[1]="@layer".concat(s[5].length>0?" ".concat(s[5]):""," {").concat(s[1],"}")),s[5]=n),t&&(s[2]&&(s[1]="@media ".concat(s[2]," {").concat(s[1],"}")),s[2]=t),a&&(s[4]?(s[1]="@supports (".concat(s[4],") {").concat(s[1],"}"),s[4]=a):s[4]="".concat(a)),r.push(s))}},r}},28(e){e.exports=function(e){return e[1]}},21(e){var r=[];function t(e){for(var t=-1,o=0;o<r.length;o++)if(r[o].identifier===e){t=o;break}return t}function o(e,o){for(var a={},n=[],p=0;p<e.length;p++){var i=e[p],l=o.base?i[0]+o.base:i[0],d=a[l]||0,s="".concat(l," ").concat(d);a[l]=d+1;var c=t(s),x={css:i[1],media:i[2],sourceMap:i[3],supports:i[4],layer:i[5]};if(-1!==c)r[c].references++,r[c].updater(x);else{var u=function(e,r){var t=r.domAPI(r);return t.update(e),function(r){r?(r.css!==e.css||r.media!==e.media||r.sourceMap!==e.sourceMap||r.supports!==e.supports||r.layer!==e.layer)&&t.update(e=r):t.remove()}}(x,o);o.byIndex=p,r.splice(p,0,{identifier:s,updater:u,references:1})}n.push(s)}return n}e.exports=function(e,a){var n=o(e=e||[],a=a||{});return function(e){e=e||[];for(var p=0;p<n.length;p++){var i=t(n[p]);r[i].references--}for(var l=o(e,a),d=0;d<n.length;d++){var s=t(n[d]);0===r[s].references&&(r[s].updater(),r.splice(s,1))}n=l}}},23(e){var r={};e.exports=function(e,t){var o=function(e){if(void 0===r[e]){var t=document.querySelector(e);if(window.HTMLIFrameElement&&t instanceof window.HTMLIFrameElement)try{t=t.contentDocument.head}catch(e){t=null}r[e]=t}return r[e]}(e);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(t)}},25(e){e.exports=function(e){var r=document.createElement("style");return e.setAttributes(r,e.attributes),e.insert(r,e.options),r}},24(e,r,t){e.exports=function(e){var r=t.nc;r&&e.setAttribute("nonce",r)}},22(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var r=e.insertStyleElement(e);return{update:function(t){var o,a,n;o="",t.supports&&(o+="@supports (".concat(t.supports,") {")),t.media&&(o+="@media ".concat(t.media," {")),(a=void 0!==t.layer)&&(o+="@layer".concat(t.layer.length>0?" ".concat(t.layer):""," {")),o+=t.css,a&&(o+="}"),t.media&&(o+="}"),t.supports&&(o+="}"),(n=t.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),e.styleTagTransform(o,r,e.options)},remove:function(){var e;null===(e=r).parentNode||e.parentNode.removeChild(e)}}}},26(e){e.exports=function(e,r){if(r.styleSheet)r.styleSheet.cssText=e;else{for(;r.firstChild;)r.removeChild(r.firstChild);r.appendChild(document.createTextNode(e))}}},20(e,r,t){var o=t(21),a=t.n(o),n=t(22),p=t.n(n),i=t(23),l=t.n(i),d=t(24),s=t.n(d),c=t(25),x=t.n(c),u=t(26),f=t.n(u),g=t(27),h={};h.styleTagTransform=f(),h.setAttributes=s(),h.insert=l().bind(null,"head"),h.domAPI=p(),h.insertStyleElement=x(),a()(g.A,h),g.A&&g.A.locals&&g.A.locals}}]);