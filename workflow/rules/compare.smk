# Found against random networks, and the report.


rule compare:
    input:
        epochs=TRAINING_EPOCHS,
        models=of_each_training("model.pt"),
        searches=SEARCH_EPOCHS,
        candidates=CANDIDATES,
        signals=SIGNALS,
        strategies=strategies,
        revision=revision("compare"),
    output:
        metrics="results/{experiment}/metrics.parquet",
        comparison="results/{experiment}/comparison.parquet",
        csv=report(
            "results/{experiment}/comparison.csv",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "comparison (CSV)"},
            caption="../report/table.rst",
        ),
    log:
        "results/{experiment}/logs/compare.log",
    benchmark:
        "results/{experiment}/benchmarks/compare.tsv"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        networks=folders_of("epochs"),
        searches=folders_of("candidates"),
        out_dir=subpath(output.metrics, parent=True),
    shell:
        "python -m enas_core.compare --networks {params.networks} --searches {params.searches}"
        " --out-dir {params.out_dir} --log-file {log}"


# Apart from the comparison, so that results of an earlier version are not compared again for it.
rule halving:
    input:
        epochs=TRAINING_EPOCHS,
    output:
        "results/{experiment}/halving.parquet",
    log:
        "results/{experiment}/logs/halving.log",
    benchmark:
        "results/{experiment}/benchmarks/halving.tsv"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        networks=folders_of("epochs"),
    shell:
        "python -m enas_core.compare --networks {params.networks} --halving-out {output} --log-file {log}"


rule plot_search:
    input:
        epochs=SEARCH_EPOCHS,
        signals=SIGNALS,
    output:
        report(
            "results/{experiment}/report/search.svg",
            category="{experiment}",
            subcategory="2 Search",
            labels={"figure": "learning curves"},
            caption="../report/search.rst",
        ),
    log:
        "results/{experiment}/logs/plot_search.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_search.tsv"
    script:
        "../scripts/plot_search.py"


rule plot_candidates:
    input:
        candidates=CANDIDATES,
        signals=SIGNALS,
    output:
        report(
            "results/{experiment}/report/candidates.svg",
            category="{experiment}",
            subcategory="2 Search",
            labels={"figure": "candidates"},
            caption="../report/candidates.rst",
        ),
    log:
        "results/{experiment}/logs/plot_candidates.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_candidates.tsv"
    params:
        seeds=search_seeds,
    script:
        "../scripts/plot_candidates.py"


rule plot_front:
    input:
        candidates=CANDIDATES,
    output:
        report(
            "results/{experiment}/report/front.svg",
            category="{experiment}",
            subcategory="2 Search",
            labels={"figure": "accuracy against cost"},
            caption="../report/front.rst",
        ),
    log:
        "results/{experiment}/logs/plot_front.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_front.tsv"
    params:
        seeds=search_seeds,
    script:
        "../scripts/plot_front.py"


rule plot_strategies:
    input:
        strategies=strategies,
        metrics="results/{experiment}/metrics.parquet",
    output:
        report(
            "results/{experiment}/report/strategies.svg",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "what the controller bought"},
            caption="../report/strategies.rst",
        ),
    log:
        "results/{experiment}/logs/plot_strategies.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_strategies.tsv"
    script:
        "../scripts/plot_strategies.py"


rule plot_augment:
    input:
        epochs=TRAINING_EPOCHS,
    output:
        report(
            "results/{experiment}/report/augment.svg",
            category="{experiment}",
            subcategory="3 Training",
            labels={"figure": "learning curves"},
            caption="../report/augment.rst",
        ),
    log:
        "results/{experiment}/logs/plot_augment.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_augment.tsv"
    script:
        "../scripts/plot_augment.py"


rule plot_found_vs_random:
    input:
        metrics="results/{experiment}/metrics.parquet",
    output:
        report(
            "results/{experiment}/report/found_vs_random.svg",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "found against random"},
            caption="../report/found_vs_random.rst",
        ),
    log:
        "results/{experiment}/logs/plot_found_vs_random.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_found_vs_random.tsv"
    script:
        "../scripts/plot_found_vs_random.py"


rule plot_shared_vs_test:
    input:
        metrics="results/{experiment}/metrics.parquet",
        comparison="results/{experiment}/comparison.parquet",
    output:
        report(
            "results/{experiment}/report/shared_vs_test.svg",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "shared against test accuracy"},
            caption="../report/shared_vs_test.rst",
        ),
    log:
        "results/{experiment}/logs/plot_shared_vs_test.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_shared_vs_test.tsv"
    script:
        "../scripts/plot_shared_vs_test.py"


rule plot_budget:
    input:
        metrics="results/{experiment}/metrics.parquet",
    output:
        report(
            "results/{experiment}/report/budget.svg",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "random search at equal hours"},
            caption="../report/budget.rst",
        ),
    log:
        "results/{experiment}/logs/plot_budget.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_budget.tsv"
    script:
        "../scripts/plot_budget.py"


rule plot_halving:
    input:
        halving="results/{experiment}/halving.parquet",
    output:
        report(
            "results/{experiment}/report/halving.svg",
            category="{experiment}",
            subcategory="3 Training",
            labels={"figure": "stopping early"},
            caption="../report/halving.rst",
        ),
    log:
        "results/{experiment}/logs/plot_halving.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_halving.tsv"
    script:
        "../scripts/plot_halving.py"


# Which classes the final network tells apart.
rule class_accuracy:
    input:
        network="results/{experiment}/final.pt",
    output:
        classes="results/{experiment}/classes.parquet",
        confusion="results/{experiment}/confusion.parquet",
    log:
        "results/{experiment}/logs/class_accuracy.log",
    benchmark:
        "results/{experiment}/benchmarks/class_accuracy.tsv"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        out_dir=subpath(output.classes, parent=True),
    shell:
        "python -m enas_core.class_accuracy --network {input.network} --out-dir {params.out_dir} --log-file {log}"


rule plot_confusion:
    input:
        classes="results/{experiment}/classes.parquet",
        confusion="results/{experiment}/confusion.parquet",
    output:
        figure=report(
            "results/{experiment}/report/confusion.svg",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "confusion matrix"},
            caption="../report/confusion.rst",
        ),
        table=report(
            "results/{experiment}/report/classes.html",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "classes (table)"},
            caption="../report/classes.rst",
        ),
    log:
        "results/{experiment}/logs/plot_confusion.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_confusion.tsv"
    script:
        "../scripts/plot_confusion.py"


# All cells in one job: a process that starts takes longer than it draws.
rule draw_cells:
    input:
        metrics="results/{experiment}/metrics.parquet",
    output:
        report(
            directory("results/{experiment}/report/cells"),
            patterns=["{network}.svg"],
            category="{experiment}",
            subcategory="4 Cells",
            labels={"figure": "{network}"},
            caption="../report/cell.rst",
        ),
    log:
        "results/{experiment}/logs/draw_cells.log",
    benchmark:
        "results/{experiment}/benchmarks/draw_cells.tsv"
    params:
        networks=drawn_networks,
    script:
        "../scripts/draw_cells.py"


rule write_tables:
    input:
        metrics="results/{experiment}/metrics.parquet",
        config=collect("results/{{experiment}}/config/{stage}.json", stage=stages_of),
        random_arcs=random_arcs_table,
        searches=SEARCH_EPOCHS,
        candidates=CANDIDATES,
        signals=SIGNALS,
        epochs=TRAINING_EPOCHS,
    output:
        comparison=report(
            "results/{experiment}/report/comparison.html",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "comparison (table)"},
            caption="../report/comparison.rst",
        ),
        networks=report(
            "results/{experiment}/report/networks.html",
            category="{experiment}",
            subcategory="1 Result",
            labels={"figure": "trained networks (table)"},
            caption="../report/networks.rst",
        ),
        settings=report(
            "results/{experiment}/report/settings.html",
            category="{experiment}",
            subcategory="5 Settings",
            labels={"figure": "settings and provenance (table)"},
            caption="../report/settings.rst",
        ),
    log:
        "results/{experiment}/logs/write_tables.log",
    benchmark:
        "results/{experiment}/benchmarks/write_tables.tsv"
    script:
        "../scripts/write_tables.py"


# The page that opens on the answer. It reads the folder; the inputs are what it shows.
rule report:
    input:
        metrics="results/{experiment}/metrics.parquet",
        comparison="results/{experiment}/comparison.parquet",
        classes="results/{experiment}/classes.parquet",
        config=collect("results/{{experiment}}/config/{stage}.json", stage=stages_of),
        searches=SEARCH_EPOCHS,
        candidates=CANDIDATES,
        signals=SIGNALS,
        shown=collect("results/{{experiment}}/report/{file}", file=report_figures),
    output:
        "results/{experiment}/report.html",
    log:
        "results/{experiment}/logs/report.log",
    benchmark:
        "results/{experiment}/benchmarks/report.tsv"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        results=subpath(input.metrics, parent=True),
    shell:
        "python -m enas_core.report {params.results} --out {output} --log-file {log}"


# All figures and tables of an experiment, for snakemake --report.
rule report_files:
    input:
        collect("results/{{experiment}}/report/{file}", file=report_files),
    output:
        touch("results/{experiment}/report/complete"),
    log:
        "results/{experiment}/logs/report_files.log",
    benchmark:
        "results/{experiment}/benchmarks/report_files.tsv"
