// What Grafana's own package says a dashboard is. A test puts dashboard.json below, and tsc compares.
import type { DataQuery, Dashboard, FieldConfig, Panel, RowPanel } from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// As JSON has it: of an enum of texts the texts.
type Json<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends (infer I)[] ? Json<I>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

// The query of Prometheus is in a package of a hundred others.
type Query = DataQuery & {
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: "time_series" | "table" | "heatmap";
};

// A panel fills in the options that are not said.
type Of<Type extends string, Options, Custom> = Json<
  Omit<Panel, "type" | "title" | "description" | "options" | "fieldConfig" | "targets"> & {
    type: Type;
    title: string;
    description: string;
    targets: Query[];
    options: Partial<Options>;
    fieldConfig: { defaults: Omit<FieldConfig, "custom"> & { custom?: Partial<Custom> }; overrides: Overrides };
  }
>;
type Overrides = NonNullable<Panel["fieldConfig"]>["overrides"];

type AnyPanel =
  | Json<RowPanel>
  | Of<"bargauge", bargauge.Options, never>
  | Of<"stat", stat.Options, never>
  | Of<"table", table.Options, table.FieldConfig>
  | Of<"timeseries", timeseries.Options, timeseries.FieldConfig>;

export type Whole = Json<Omit<Dashboard, "panels" | "templating">> & {
  panels: AnyPanel[];
  templating: Json<Dashboard["templating"]>;
};
